"""Closing, leftovers, and the record that both work from."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from unittest import mock

from closing import BUSY_PATIENCE, CLOSE_LIMIT, UNMOUNT_TIMEOUT, close_run, find_left, process_start
from host import TIMED_OUT, Result
from leaving import is_cut_off
from leftovers import clean_leftovers, dead_runs, empty_layouts
from main import end_run
from outcome import Stop
from state import State, load_state, recorded_grants
from tests.fakes import PLAN, HostCase

IQN = PLAN["iqn"]
TOP = "/data/web01-2026-11-20T02-00-00Z"
RECORD = "/etc/iscsi/nodes/{}/127.0.0.1,40000,-1/default".format(IQN)
MARK = "# made by an itemlift mount script, which deletes it when it is closed"
RULE = "/run/udev/rules.d/00-itemlift-7f3k.rules"


class Attached(HostCase):
    """A machine on which a run has attached one disk with two volumes."""

    def setUp(self):
        super().setUp()
        host = self.host
        host.session("session2", IQN)
        host.disk("sdb", partitions=[(1, 4096), (2, 4096)], session="session2")
        host.put(RECORD, "# BEGIN RECORD 2.1.8\n" + MARK + "\n")
        host.put(RULE)
        for number in (1, 2):
            host.folder("{}/Volume{}".format(TOP, number))
        host.mounted(("/dev/sdb1", TOP + "/Volume1"), ("/dev/sdb2", TOP + "/Volume2"))
        host.answer("umount", self.umount)
        host.answer("iscsiadm", self.iscsiadm)
        self.busy = set()
        self.stuck_session = False
        self.state = State(host, "7f3k")
        self.state.take_lock()
        self.state.note(
            iqn=IQN,
            port=40000,
            folder=TOP,
            folders=[TOP, TOP + "/Volume1", TOP + "/Volume2"],
            mounts=[TOP + "/Volume1", TOP + "/Volume2"],
            rules=[RULE],
            devices=["sdb"],
            pid=4242,
        )

    def umount(self, argv):
        """As umount(8): the others go where one is busy."""
        status = 0
        for path in argv[argv.index("--") + 1 :]:
            if path in self.busy and "-l" not in argv:
                status = 64
                continue
            text = self.host.read("/proc/self/mountinfo").splitlines()
            self.host.put("/proc/self/mountinfo", "\n".join(line for line in text if " {} ".format(path) not in line))
        return Result(status, "", "target is busy" if status else "")

    def iscsiadm(self, argv):
        if "--logout" in argv and not self.stuck_session:
            self.host.delete("/sys/class/iscsi_session/session2")
        return Result(0, "", "")


class Closing(Attached):
    def test_nothing_is_left(self):
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        for path in (TOP, "/etc/iscsi/nodes/" + IQN, RULE, "/run/itemlift"):
            self.assertFalse(self.host.exists(path), path)
        unmounted = [line for line in self.host.ran if line.startswith("umount")]
        self.assertEqual(unmounted, ["umount -- {0}/Volume2 {0}/Volume1".format(TOP)])

    def test_what_is_upon_the_disks_goes_before_the_session(self):
        self.host.tools.add("dmsetup")
        self.host.put("/sys/class/block/dm-0/dm/name", "itemlift-7f3k-overlay1")
        self.host.mounted(("/dev/mapper/itemlift-7f3k-overlay1", "/media/by-somebody"))
        self.host.answer("dmsetup remove", lambda _: self.host.delete("/sys/class/block/dm-0"))
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        order = [line.split(" ")[0] for line in self.host.ran if line.startswith(("umount", "dmsetup", "iscsiadm"))]
        self.assertEqual(order[:3], ["umount", "dmsetup", "iscsiadm"])

    def test_disks_that_do_not_answer_are_left_first(self):
        """And what somebody else has mounted from them is remembered."""
        self.host.mounted(("/dev/sdb1", TOP + "/Volume1"), ("/dev/sdb2", "/media/user/disk"))
        for sign in ("no answer", "connection failed"):
            if sign == "no answer":
                self.host.answer("dd if=/dev/sdb", Result(TIMED_OUT, "", sign))
                self.host.tools.add("dd")
            else:
                self.host.put("/sys/class/iscsi_session/session2/state", "FAILED\n")
            self.assertTrue(is_cut_off(self.host, self.state))
        tunnel = mock.Mock()
        tunnel.close.side_effect = lambda: self.host.ran.append("tunnel closed")
        self.assertEqual(close_run(self.host, self.state, self.talk, tunnel), [])
        order = [line.split(" ")[0] for line in self.host.ran if line.startswith(("umount", "tunnel", "iscsiadm"))]
        self.assertEqual(order[:3], ["tunnel", "iscsiadm", "umount"])
        self.assertIn("umount -- {}/Volume1 /media/user/disk".format(TOP), self.host.ran)

    def test_disks_that_answer_are_left_last(self):
        self.host.tools.add("dd")
        self.host.put("/sys/class/iscsi_session/session2/state", "LOGGED_IN\n")
        self.assertFalse(is_cut_off(self.host, self.state))
        close_run(self.host, self.state, self.talk)
        order = [line.split(" ")[0] for line in self.host.ran if line.startswith(("umount", "iscsiadm"))]
        self.assertEqual(order[:2], ["umount", "iscsiadm"])

    def test_a_mapped_device_that_stays_is_told(self):
        self.host.put("/sys/class/block/dm-0/dm/name", "itemlift-7f3k-overlay1")
        self.host.put("/sys/class/block/dm-0/holders/dm-1")
        self.assertEqual(close_run(self.host, self.state, self.talk), ["mapped device: itemlift-7f3k-overlay1"])

    def test_a_session_whose_login_is_under_way_is_asked_again(self):
        asked = []

        def busy_at_first(argv):
            if "--logout" in argv:
                asked.append(argv)
                if len(asked) < 4:
                    return Result(28, "", "iscsiadm: session is busy")
            return self.iscsiadm(argv)

        self.host.answer("iscsiadm", busy_at_first)
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        self.assertEqual(len(asked), 4)

    def test_what_goes_with_another_is_not_waited_for(self):
        """As mounts do that are shown at two places."""

        def both(argv):
            self.umount(argv)
            return Result(64, "", "not mounted")

        self.host.answer("umount", both)
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        self.assertNotIn("in use", self.talk.text)
        self.assertEqual(len([line for line in self.host.ran if line.startswith("umount")]), 1)

    def test_volumes_that_hang_do_not_add_up(self):
        def hang(argv):
            if "-l" in argv:
                return self.umount(argv)
            self.host.sleep(UNMOUNT_TIMEOUT)
            return Result(-1, "", "no answer")

        self.host.answer("umount", hang)
        before = self.host.monotonic()
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        self.assertLess(self.host.monotonic() - before, 2 * UNMOUNT_TIMEOUT)

    def test_a_machine_on_which_everything_hangs_does_not_keep_it(self):
        def hang(_):
            self.host.sleep(self.host.timeout)
            return Result(TIMED_OUT, "", "no answer")

        self.host.tools |= {"dmsetup", "mdadm", "udevadm"}
        paths = ["{}/Volume{}".format(TOP, number) for number in range(1, 97)]
        self.host.mounted(*(("/dev/sdb1", path) for path in paths))
        for number in range(50):
            self.host.put("/sys/class/block/dm-{}/dm/name".format(number), "itemlift-7f3k-overlay{}".format(number))
        arrays = ["md{}".format(number) for number in range(400, 420)]
        for name in arrays:
            self.host.put("/sys/class/block/{}/md/array_state".format(name), "readonly")
        self.state.note(arrays=arrays)
        self.host.answer("", hang)
        started = self.host.monotonic()
        self.assertIn("iSCSI session: session2", close_run(self.host, self.state, self.talk))
        self.assertLess(self.host.monotonic() - started, CLOSE_LIMIT + 5)

    def test_a_record_that_cannot_be_written_does_not_keep_it_from_closing(self):
        def full(path, text, mode=0o644):
            raise OSError(errno.ENOSPC, "No space left on device")

        self.host.write = full
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        for path in (TOP, "/etc/iscsi/nodes/" + IQN, RULE, "/run/itemlift"):
            self.assertFalse(self.host.exists(path), path)

    def test_a_busy_volume_is_named_waited_for_and_detached(self):
        holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        self.host.link("/proc/{}/cwd".format(holder.pid), TOP + "/Volume1/etc")
        os.unlink(self.host.at("/proc/{}/cwd".format(holder.pid)))
        os.symlink(TOP + "/Volume1/etc", self.host.at("/proc/{}/cwd".format(holder.pid)))
        self.host.put("/proc/{}/comm".format(holder.pid), "bash\n")
        self.busy.add(TOP + "/Volume1")
        started = self.host.clock
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        self.assertIn("in use by bash ({})".format(holder.pid), self.talk.text)
        self.assertIn("detached as it is", self.talk.text)
        self.assertIn("umount -l -- {}/Volume1".format(TOP), self.host.ran)
        self.assertLess(self.host.clock - started, BUSY_PATIENCE + 2)

    def test_a_volume_that_becomes_free_in_time_is_unmounted_properly(self):
        self.busy.add(TOP + "/Volume1")
        sleep = self.host.sleep
        self.host.sleep = lambda seconds: (sleep(seconds), self.busy.clear())
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        self.assertNotIn("umount -l", " ".join(self.host.ran))

    def test_a_session_that_stays_is_told_and_stays_on_record(self):
        self.stuck_session = True
        started = self.host.clock
        left = close_run(self.host, self.state, self.talk)
        self.assertEqual(left, ["iSCSI session: session2"])
        self.assertLess(self.host.clock - started, CLOSE_LIMIT)
        self.assertEqual(load_state(self.host, "7f3k")["left"], left)
        self.stuck_session = False
        self.assertEqual(close_run(self.host, self.state, self.talk), [])

    def test_files_that_the_user_put_there_stay(self):
        self.host.put(TOP + "/mine.txt")
        left = close_run(self.host, self.state, self.talk)
        self.assertEqual(left, ["folder with something in it: " + TOP])
        self.assertTrue(self.host.exists(TOP + "/mine.txt"))

    def test_mounts_by_others_from_our_disks_go_too(self):
        self.host.mounted(("/dev/sdb1", "/media/user/disk"), ("/dev/sda1", "/media/user/other"))
        self.assertEqual(close_run(self.host, self.state, self.talk), [])
        self.assertIn("umount -- /media/user/disk", self.host.ran)
        self.assertNotIn("/media/user/other", " ".join(self.host.ran))

    def test_a_disk_name_that_went_to_another_disk_is_not_ours(self):
        self.host.delete("/sys/class/iscsi_session/session2")
        self.host.mounted(("/dev/sdb1", "/srv"))
        close_run(self.host, self.state, self.talk)
        self.assertNotIn("/srv", " ".join(self.host.ran))

    def test_folders_of_a_first_use_of_open_iscsi_go(self):
        self.host.folder("/etc/iscsi/send_targets")
        self.state.note(absent_folders=["/etc/iscsi/nodes", "/etc/iscsi/send_targets"])
        close_run(self.host, self.state, self.talk)
        self.assertEqual(self.host.names("/etc/iscsi"), [])

    def test_everything_that_is_left_is_found(self):
        self.state.note(tunnel=[os.getpid(), "x"])
        self.host.put("/proc/{}/stat".format(os.getpid()), "1 (a) b) S " + "0 " * 18 + "x 0")
        self.assertEqual(len(find_left(self.host, self.state)), 2 + 1 + 1 + 1 + 3 + 1)

    def test_process_start(self):
        self.host.put("/proc/5/stat", "5 (py) thon) S " + " ".join(str(n) for n in range(4, 30)))
        self.assertEqual(process_start(self.host, 5), "22")
        self.host.put("/proc/5/stat", "5 (python) Z " + " ".join(str(n) for n in range(4, 30)))
        self.assertIsNone(process_start(self.host, 5))
        self.assertIsNone(process_start(self.host, 6))


class Leftovers(Attached):
    def die(self):
        self.state.release_lock()

    def test_a_dead_run_is_cleaned_after_a_yes(self):
        self.die()
        clean_leftovers(self.host, self.talk, PLAN, "/data")
        self.assertEqual(len(self.talk.asked), 1)
        self.assertIn("grant 7f3k died", self.talk.asked[0])
        self.assertFalse(self.host.exists(TOP))
        self.assertFalse(self.host.exists("/run/itemlift"))

    def test_without_a_yes_the_own_grant_cannot_go_on_and_others_can(self):
        self.die()
        self.talk.answer = False
        with self.assertRaises(Stop) as caught:
            clean_leftovers(self.host, self.talk, PLAN, "/elsewhere")
        self.assertEqual(caught.exception.status, 4)
        clean_leftovers(self.host, self.talk, dict(PLAN, grant="another"), "/elsewhere")
        self.assertTrue(self.host.exists(TOP))

    def test_a_running_one_is_left_alone(self):
        self.assertEqual(dead_runs(self.host), [])

    def test_after_a_reboot_the_node_record_tells(self):
        self.die()
        shutil.rmtree(self.host.at("/run/itemlift"))
        self.host.delete("/sys/class/iscsi_session/session2")
        self.host.mounted()
        clean_leftovers(self.host, self.talk, PLAN, "/data")
        self.assertFalse(self.host.exists("/etc/iscsi/nodes/" + IQN))
        self.assertFalse(self.host.exists(TOP))
        self.assertEqual(len(self.talk.asked), 2)

    def test_a_node_record_of_somebodys_own_initiator_is_left_alone(self):
        self.die()
        shutil.rmtree(self.host.at("/run/itemlift"))
        self.host.put(RECORD, "# BEGIN RECORD 2.1.8\nnode.startup = automatic\n# END RECORD\n")
        for logged_in in (True, False):
            self.assertEqual(dead_runs(self.host), [])
            clean_leftovers(self.host, self.talk, dict(PLAN, grant="another"), "/elsewhere")
            self.assertEqual(self.talk.asked, [])
            self.assertTrue(self.host.exists(RECORD))
            if logged_in:
                self.host.delete("/sys/class/iscsi_session/session2")

    def test_folders_with_files_are_nobodys_leftovers(self):
        self.die()
        shutil.rmtree(self.host.at("/run/itemlift"))
        self.host.put(TOP + "/Volume1/file")
        self.assertEqual(empty_layouts(self.host, PLAN, "/data"), [])
        self.host.folder(TOP + "-2/Volume1")
        self.host.folder(TOP + "-3/mine")
        self.assertEqual(empty_layouts(self.host, PLAN, "/data"), [TOP + "-2"])

    def test_unmount_cleans_for_a_dead_run(self):
        self.die()
        self.assertEqual(end_run(self.host, self.talk, PLAN, load_state(self.host, "7f3k")), 0)
        self.assertFalse(self.host.exists(TOP))
        self.assertEqual(end_run(self.host, self.talk, PLAN, load_state(self.host, "7f3k")), 0)
        self.assertIn("Nothing of this grant", self.talk.text)

    def test_unmount_asks_a_run_that_is_there(self):
        def signalled(pid, number):
            self.assertEqual((pid, number), (4242, signal.SIGTERM))
            close_run(self.host, self.state, self.talk)
            self.state.release_lock()
            return True

        self.host.signal = signalled
        self.assertEqual(end_run(self.host, self.talk, PLAN, load_state(self.host, "7f3k")), 0)
        self.assertIn("Nothing is left behind", self.talk.text)

    def test_unmount_of_a_run_that_does_not_close_ends(self):
        with self.assertRaises(Stop) as caught:
            end_run(self.host, self.talk, PLAN, load_state(self.host, "7f3k"))
        self.assertIn("4242", caught.exception.sentence)


def ended_first(state, flock):
    """flock(2) before which a run ends."""

    def locking(handle, how):
        if state.lock is not None:
            state.forget()
            state.release_lock()
        flock(handle, how)

    return locking


class Records(HostCase):
    def test_only_one_has_the_lock(self):
        first, second = State(self.host, "7f3k"), State(self.host, "7f3k")
        self.assertFalse(second.is_running())
        self.assertTrue(first.take_lock())
        self.assertFalse(second.take_lock())
        self.assertTrue(second.is_running())
        first.release_lock()
        self.assertFalse(second.is_running())

    def test_to_ask_leaves_nothing_behind(self):
        self.assertFalse(State(self.host, "7f3k").is_running())
        self.assertFalse(self.host.exists("/run/itemlift"))

    def test_who_asks_while_a_run_ends_is_told_that_it_has(self):
        """It removes the lock's file after somebody has opened it, and before that one tries to lock it."""
        for asks in ("is_running", "take_lock"):
            ending, asking = State(self.host, "7f3k"), State(self.host, "7f3k")
            self.assertTrue(ending.take_lock())
            with mock.patch("fcntl.flock", ended_first(ending, fcntl.flock)):
                taken = getattr(asking, asks)()
            self.assertEqual(taken, asks == "take_lock")
            self.assertEqual(self.host.exists(asking.lock_path), taken)
            asking.forget()
            asking.release_lock()

    def test_for_root_alone(self):
        state = State(self.host, "7f3k")
        state.take_lock()
        state.note(folder="/a/\udce6")
        for path, mode in ((state.path, 0o600), (state.lock_path, 0o600), ("/run/itemlift", 0o700)):
            self.assertEqual(os.stat(self.host.at(path)).st_mode & 0o777, mode)
        self.assertEqual(load_state(self.host, "7f3k")["folder"], "/a/\udce6")
        self.assertEqual(recorded_grants(self.host), ["7f3k"])
        self.assertTrue(state.forget())
        self.assertFalse(self.host.exists("/run/itemlift"))

    def test_a_damaged_record_is_an_empty_one(self):
        for text in ("", "{", "[1]", "\x00"):
            self.host.put("/run/itemlift/7f3k.json", text)
            self.assertEqual(load_state(self.host, "7f3k").facts, {})
