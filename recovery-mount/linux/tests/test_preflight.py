"""What is looked at before anything is done, and what is installed after a yes."""

import os
import shutil
import tempfile
import unittest
from unittest import mock

import host
from foresight import steps
from host import Result
from outcome import Stop
from packages import lacking, offer, require
from preflight import prepare, report_checks
from tests.fakes import PLAN, FakeTalk, HostCase


class Packages(HostCase):
    def test_by_each_distribution(self):
        layers = ["iscsiadm", "dmsetup", "lvm", "mdadm", "cryptsetup", "ntfs-3g"]
        base = ["modprobe", "blkid", "blockdev", "mount", "umount"]
        for tool, command, of_layers, of_base in (
            (
                "apt-get",
                "apt-get install -y -q --no-install-recommends ",
                "cryptsetup-bin dmsetup lvm2 mdadm ntfs-3g open-iscsi",
                "kmod mount util-linux",
            ),
            (
                "dnf",
                "dnf install -y -q ",
                "cryptsetup device-mapper iscsi-initiator-utils lvm2 mdadm ntfs-3g",
                "kmod util-linux",
            ),
            (
                "yum",
                "yum install -y -q ",
                "cryptsetup device-mapper iscsi-initiator-utils lvm2 mdadm ntfs-3g",
                "kmod util-linux",
            ),
            (
                "zypper",
                "zypper --non-interactive install ",
                "cryptsetup device-mapper lvm2 mdadm ntfs-3g open-iscsi",
                "kmod util-linux",
            ),
        ):
            for programs, packages in ((layers, of_layers), (base, of_base)):
                self.host.tools = {tool}
                self.host.visibly.clear()
                talk = FakeTalk()
                self.host.answer(tool, lambda _, programs=programs: self.host.tools.update(programs) or 0)
                self.assertTrue(offer(self.host, talk, programs, "why"))
                self.assertEqual(self.host.visibly, [command + packages])
                self.assertEqual(talk.asked, ["Install {} with {} (why)?".format(packages, tool)])

    def test_the_first_manager_that_is_there_is_asked(self):
        self.host.tools = {"yum", "dnf", "zypper"}
        offer(self.host, FakeTalk(), ["mdadm"], "why")
        self.assertEqual(self.host.visibly, ["dnf install -y -q mdadm"])

    def test_lists_are_refreshed_when_the_package_is_not_found(self):
        self.host.tools = {"apt-get"}
        self.host.answer("apt-get install", 100)
        self.assertFalse(offer(self.host, FakeTalk(), ["iscsiadm"], "why"))
        self.assertEqual([line.split()[1] for line in self.host.visibly], ["install", "update", "install"])
        self.host.tools, self.host.visibly = {"zypper"}, []
        self.host.answer("zypper --non-interactive install", 104)
        self.assertFalse(offer(self.host, FakeTalk(), ["iscsiadm"], "why"))
        self.assertEqual([line.split()[2] for line in self.host.visibly], ["install", "refresh", "install"])

    def test_nothing_without_a_yes(self):
        self.host.tools = {"apt-get"}
        with self.assertRaises(Stop) as caught:
            require(self.host, FakeTalk(agrees=False), ["iscsiadm", "mount"])
        self.assertEqual((caught.exception.status, self.host.visibly), (4, []))
        self.assertIn("iscsiadm, mount", caught.exception.sentence)

    def test_no_package_manager(self):
        self.host.tools = set()
        self.assertFalse(offer(self.host, self.talk, ["iscsiadm"], "why"))
        self.assertIn("open-iscsi", self.talk.text)


class StandIns(unittest.TestCase):
    """A machine where BusyBox stands in for some tools."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        patched = mock.patch.object(host, "SUB_PATH", "{0}/small:{0}/own".format(self.folder))
        patched.start()
        self.addCleanup(patched.stop)
        for name in ("small/busybox", "own/mount", "own/blkid"):
            os.makedirs(os.path.dirname(self.at(name)), exist_ok=True)
            with open(self.at(name), "w"):
                os.chmod(self.at(name), 0o755)
        for name in ("mount", "umount"):
            os.symlink(self.at("small/busybox"), self.at("small/" + name))

    def at(self, name):
        return "{}/{}".format(self.folder, name)

    def test_do_not_count(self):
        machine = host.Host()
        found = [machine.which(tool) for tool in ("mount", "umount", "blkid", "iscsiadm")]
        self.assertEqual(found, [self.at("own/mount"), None, self.at("own/blkid"), None])
        stand_ins = [machine.has_stand_in(tool) for tool in ("mount", "umount", "blkid", "iscsiadm")]
        self.assertEqual(stand_ins, [False, True, False, False])
        self.assertEqual(lacking(machine, ["umount", "iscsiadm"]), "umount (BusyBox's own does not do), iscsiadm")


class Preflight(HostCase):
    def check(self):
        self.host.folder("/data")
        plan = dict(PLAN, port=1, ca_der=CA)
        status, found = report_checks(self.host, self.talk, plan, "/data", 64 << 20)
        self.checks, self.steps = found["checks"], found["steps"]
        return status

    def detail(self, what):
        """What the report says of a check, after looking again."""
        self.check()
        return next((each["ok"], each["detail"]) for each in self.checks if each["what"] == what)

    def test_each_check_is_a_line_and_nothing_is_changed(self):
        before = sorted(os.walk(self.host.root))
        status = self.check()
        self.assertEqual(status, 3)  # nobody listens on port 1
        self.assertIn("Cannot reach the server at 127.0.0.1 port 1", self.talk.text)
        self.assertIn("/data/web01-2026-11-20T02-00-00Z", self.talk.text)
        self.assertEqual(len(self.talk.said), 1 + len(self.checks) + 1 + len(self.steps) + 1)
        self.assertEqual(self.talk.said[-1], "--check has changed nothing.")
        self.assertEqual([each["what"] for each in self.checks if not each["ok"]], ["Server"])
        self.host.delete("/data")
        self.assertEqual(sorted(os.walk(self.host.root)), before)
        self.assertEqual([line for line in self.host.ran if "-n" not in line.split()], [])

    def test_what_a_run_would_do_is_told_in_its_order(self):
        self.host.folder("/data/web01-2026-11-20T02-00-00Z")
        self.check()
        words = ["udev rules", "127.0.0.1 port 1", "Start iscsid", "root (1.0 GiB), data (2.0 GiB)", "overlays"]
        words += ["read-only below /data/web01-2026-11-20T02-00-00Z-2.", "Undo all"]
        self.assertEqual([word in step for word, step in zip(words, self.steps)], [True] * len(self.steps), self.steps)
        self.assertIn("web01-2026-11-20T02-00-00Z is there already", self.detail("Mounts below")[1])
        self.host.put("/proc/77/comm", "iscsid\n")
        self.host.tools = {"modprobe", "dnf"}
        self.check()
        self.assertIn("after a yes run: dnf install -y -q iscsi-initiator-utils util-linux", self.steps[0])
        self.assertIn("Make a node record for iqn.2026-11.io.itemlift:7f3k", self.steps[3])
        self.host.tools = {"modprobe"}
        self.check()
        self.assertIn("no apt, dnf, yum or zypper", self.steps[0])

    def test_the_way_through_a_proxy_is_told(self):
        for proxy, words in (
            ("http://user:word@proxy.example:3128", "through the HTTPS proxy proxy.example:3128."),
            ("ftp://proxy.example", "End at once: https_proxy names no HTTP proxy"),
        ):
            with mock.patch.dict(os.environ, {"https_proxy": proxy, "no_proxy": "", "NO_PROXY": ""}):
                told = steps(self.host, dict(PLAN, host="backup.example"), "/data", [])
            self.assertIn(words, told[1])
            self.assertNotIn("word", told[1].replace("password", ""))

    def test_a_disk_that_is_not_served_is_told(self):
        plan = dict(PLAN, not_served=[{"lun": 2, "name": "logs", "reason": "the file is empty; copy it again"}])
        told = steps(self.host, plan, "/data", [])
        self.assertIn("Do without logs, which is damaged: the file is empty; copy it again", told)
        self.assertNotIn("damaged", " ".join(steps(self.host, PLAN, "/data", [])))

    def test_what_is_in_the_way_is_told(self):
        self.assertEqual(self.detail("Names"), (True, "none that a run needs is taken"))
        self.assertEqual(self.detail("Earlier runs"), (True, "nothing left behind"))
        record = "/etc/iscsi/nodes/iqn.2026-11.io.itemlift:7f3k/10.0.0.1,3260,-1/default"
        self.host.put(record, "# BEGIN RECORD 2.1.8\n")
        ok, detail = self.detail("Names")
        self.assertFalse(ok)
        self.assertIn(record, detail)
        self.assertIn("iscsiadm -m node -T iqn.2026-11.io.itemlift:7f3k -o delete", detail)
        # One that a run of this grant has left it cleans up itself.
        self.host.put("/run/itemlift/7f3k.json", "{}")
        self.assertTrue(self.detail("Names")[0])
        self.assertEqual(
            self.detail("Earlier runs"), (True, "left behind by 7f3k: a run offers to clean up after them")
        )

    def test_overlays_say_how_much_and_where(self):
        def overlays():
            self.talk.said.clear()
            self.check()
            return next(line for line in self.talk.said if "Overlays" in line)

        self.host.put("/proc/meminfo", "MemAvailable: 1048576 kB\n")
        self.assertIn("64 MiB each and 512 MiB together, in memory", overlays())
        self.host.put("/proc/meminfo", "MemAvailable: 1024 kB\n")
        with mock.patch("cow.free_in_folder", lambda host, folder: 200 << 20):
            self.assertIn("64 MiB each and 100 MiB together, in /data", overlays())
        with mock.patch("cow.free_in_folder", lambda host, folder: 100 << 20):
            self.assertIn("no room for one of 64 MiB", overlays())
        self.host.answer("modprobe -n -q -- dm-snapshot", Result(1, "", ""))
        self.assertIn("no dm-snapshot", overlays())

    def test_what_the_machine_lacks_comes_first(self):
        self.host.tools = {"apt-get", "modprobe"}
        self.assertEqual(self.check(), 4)
        self.assertIn("open-iscsi", self.talk.text)

    def test_nothing_is_installed_where_the_kernel_cannot_do_it(self):
        self.host.folder("/data")
        for tools in ({"apt-get"}, {"apt-get", "modprobe"}):
            self.host.tools = tools
            self.host.answer("modprobe", Result(1, "", ""))
            with self.assertRaises(Stop) as caught:
                prepare(self.host, FakeTalk(), "/data")
            self.assertIn("iscsi_tcp", caught.exception.sentence)
            self.assertEqual((caught.exception.status, self.host.visibly), (4, []))

    def test_modprobe_is_installed_where_there_are_modules(self):
        self.host.folder("/data")
        self.host.folder("/lib/modules/" + os.uname().release)
        self.host.tools = {"apt-get"}
        with self.assertRaises(Stop):
            prepare(self.host, FakeTalk(), "/data")
        self.assertIn("kmod", self.host.visibly[0])


CA = (
    "MIIBfDCCASKgAwIBAgIUep4y1ypTK9hDbAMrpj/aL0EhHfowCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQaXRlbWxpZnQgdGVz"
    "dCBDQTAgFw0yMDAxMDEwMDAwMDBaGA8yMDYwMTIzMTAwMDAwMFowGzEZMBcGA1UEAwwQaXRlbWxpZnQgdGVzdCBDQTBZMBMG"
    "ByqGSM49AgEGCCqGSM49AwEHA0IABAJufTFZgZVlhff9pYPxVL8nov9jsBN0ODyk2zQxYxl8VjAFXTEJx82Sbbsr7A724Um5"
    "8GV1xc15xIFVsAhGLTijQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0GA1UdDgQWBBQ+A8HmcPuEvS6f"
    "oMG07X4cgu0voDAKBggqhkjOPQQDAgNIADBFAiEAjIofZc5opA0UX0ZOtj5GHoc583gAWtRk77mQ/HMbhmYCIFXTYSvk6/hb"
    "sm4WrnrPzJI+qDOqx4nN8YGBNmTqkC9C"
)

if __name__ == "__main__":
    unittest.main()
