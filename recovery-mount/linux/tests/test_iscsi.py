"""Node records, sessions, devices, udev rules, iscsid."""

import os
import unittest

import iscsid
from host import Result
from iscsi import Target, absent_folders, record_path, recorded_targets, session_disks, sessions_of, with_settings
from isolation import end_isolation, isolate
from outcome import Refused, Stop
from state import State
from tests.fakes import PLAN, SECRETS, HostCase

IQN = PLAN["iqn"]
RECORD = """# BEGIN RECORD 2.1.8
node.name = {0}
node.tpgt = -1
node.startup = automatic
node.session.auth.authmethod = None
node.session.auth.chap_algs = MD5
node.conn[0].address = 127.0.0.1
node.conn[0].startup = automatic
# END RECORD
""".format(IQN)
FILE = "/etc/iscsi/nodes/{}/127.0.0.1,40000,-1/default".format(IQN)


class Records(HostCase):
    def setUp(self):
        super().setUp()
        self.target = Target(self.host, IQN, "127.0.0.1:40000")

    def give_record(self, text=RECORD, file=FILE):
        self.host.answer(
            "iscsiadm -m node -T {} -p 127.0.0.1:40000 -o new".format(IQN), lambda argv: self.host.put(file, text)
        )

    def settings(self):
        lines = self.host.read(FILE).splitlines()
        return dict(line.split(" = ") for line in lines if not line.startswith("#"))

    def test_mutual_chap_stands_in_the_record_and_in_no_argument(self):
        self.give_record()
        self.target.make_record(SECRETS)
        settings = self.settings()
        self.assertEqual(settings["node.session.auth.authmethod"], "CHAP")
        self.assertEqual(settings["node.session.auth.username"], "user-i")
        self.assertEqual(settings["node.session.auth.password"], "secret-initiator")
        self.assertEqual(settings["node.session.auth.username_in"], "user-t")
        self.assertEqual(settings["node.session.auth.password_in"], "secret-of-target")
        self.assertEqual(settings["node.session.auth.chap_algs"], "SHA3-256,SHA256,SHA1,MD5")
        self.assertEqual(settings["node.startup"], "manual")
        self.assertEqual(settings["node.conn[0].startup"], "manual")
        self.assertEqual(settings["node.conn[0].address"], "127.0.0.1")
        self.assertEqual(os.stat(self.host.at(FILE)).st_mode & 0o777, 0o600)
        self.assertFalse([line for line in self.host.ran if "secret" in line])
        lines = self.host.read(FILE).splitlines()
        self.assertEqual((lines[0], lines[-1]), ("# BEGIN RECORD 2.1.8", "# END RECORD"))

    def test_old_versions_are_not_given_what_they_do_not_know(self):
        self.give_record(RECORD.replace("node.session.auth.chap_algs = MD5\n", ""))
        self.target.make_record(SECRETS)
        self.assertNotIn("node.session.auth.chap_algs", self.settings())

    def test_records_elsewhere_and_without_interface_are_found(self):
        for file in ("/var/lib/iscsi/nodes/{}/127.0.0.1,40000,-1/default", "/etc/iscsi/nodes/{}/127.0.0.1,40000"):
            self.give_record(file=file.format(IQN))
            self.target.make_record(SECRETS)
            self.assertEqual(record_path(self.host, IQN), file.format(IQN))
            self.assertTrue(self.target.delete_record())
            self.assertIsNone(record_path(self.host, IQN))

    def test_a_record_that_a_script_has_made_is_told_from_others(self):
        self.give_record()
        self.host.put("/etc/iscsi/nodes/iqn.2026-11.io.itemlift:by-hand/10.0.0.1,3260,-1/default", RECORD)
        self.host.put("/var/lib/iscsi/nodes/iqn.2026-11.io.itemlift:empty/10.0.0.1,3260,-1/default", "")
        self.assertEqual(recorded_targets(self.host), [])
        self.target.make_record(SECRETS)
        self.assertEqual(recorded_targets(self.host), [IQN])
        # iscsid passes over what begins so, in all versions.
        self.assertTrue(self.host.read(FILE).splitlines()[1].startswith("# made by an itemlift mount script"))

    def test_a_record_by_hand_is_not_replaced(self):
        self.give_record()
        self.host.put(FILE, RECORD)
        with self.assertRaises(Stop) as caught:
            self.target.make_record(SECRETS)
        self.assertEqual(caught.exception.status, 4)
        self.assertIn(FILE, caught.exception.sentence)
        self.assertEqual(self.host.read(FILE), RECORD.strip())

    def test_without_a_record_it_says_where_it_looked(self):
        with self.assertRaises(Stop) as caught:
            self.target.make_record(SECRETS)
        self.assertEqual(caught.exception.status, 4)
        self.assertIn("/etc/iscsi/nodes", caught.exception.sentence)

    def test_login_outcomes(self):
        login = "iscsiadm -m node -T {} -p 127.0.0.1:40000 --login".format(IQN)
        for status in (0, 15):
            self.host.answer(login, Result(status, "", ""))
            self.target.login()
        self.host.answer(login, Result(24, "", "iscsiadm: login authentication failure"))
        self.assertRaises(Refused, self.target.login)
        self.host.answer(login, Result(8, "", "iscsiadm: connection timed out.\n"))
        with self.assertRaises(Stop) as caught:
            self.target.login()
        self.assertEqual(caught.exception.status, 3)
        self.assertIn("connection timed out", caught.exception.sentence)

    def test_settings_replace_and_add(self):
        text = with_settings("a = 1\nab = 2\n# END RECORD\n", (("a", "x"), ("c", "y")))
        self.assertEqual(text, "a = x\nab = 2\nc = y\n# END RECORD\n")

    def test_the_folders_of_a_first_use_are_known(self):
        self.host.folder("/etc/iscsi/ifaces")
        absent = absent_folders(self.host)
        self.assertIn("/etc/iscsi/nodes", absent)
        self.assertNotIn("/etc/iscsi/ifaces", absent)
        self.assertFalse([path for path in absent if path.startswith("/var/lib/iscsi")])


class Sessions(HostCase):
    def test_only_our_target_and_its_luns(self):
        self.host.session("session1", "iqn.2003-01.other:x")
        self.host.session("session2", IQN)
        self.host.disk("sdb", session="session1")
        self.host.disk("sdc", session="session2", lun=0)
        self.host.disk("sdaa", session="session2", lun=254)
        self.assertEqual(sessions_of(self.host, IQN), ["session2"])
        self.assertEqual(session_disks(self.host, "session2"), {0: "sdc", 254: "sdaa"})

    def test_logout_first_makes_waiting_reads_fail_soon(self):
        self.host.session("session2", IQN)
        seen = []

        def logout(_):
            seen.append(self.host.read("/sys/class/iscsi_session/session2/recovery_tmo"))
            self.host.delete("/sys/class/iscsi_session/session2")

        self.host.answer("iscsiadm -m node -T {} -p 127.0.0.1:1 --logout".format(IQN), logout)
        self.assertTrue(Target(self.host, IQN, "127.0.0.1:1").logout(self.host.clock + 60))
        self.assertEqual(seen, ["1"])

    def test_logout_without_session_asks_nobody(self):
        self.assertTrue(Target(self.host, IQN, "127.0.0.1:1").logout(self.host.clock + 60))
        self.assertEqual(self.host.ran, [])


class Rules(HostCase):
    def test_rules_come_and_go(self):
        state = State(self.host, "7f3k")
        state.take_lock()
        isolate(self.host, state)
        rules = self.host.names("/run/udev/rules.d")
        self.assertEqual(rules, ["00-itemlift-7f3k.rules", "62-itemlift-7f3k.rules", "99-zz-itemlift-7f3k.rules"])
        first = self.host.read("/run/udev/rules.d/" + rules[0])
        self.assertIn('ATTRS{vendor}=="ITEMLIFT*"', first)
        mine = (
            'ATTRS{vendor}=="ITEMLIFT*"',
            'ATTR{dm/name}=="itemlift-7f3k-*|itemlift_7f3k_*"',
            'ATTR{loop/backing_file}=="*itemlift-7f3k-*"',
        )
        for name in rules:
            lines = self.host.read("/run/udev/rules.d/" + name).splitlines()[1:]
            self.assertEqual(len(lines), len(mine))
            for match, line in zip(mine, lines):
                self.assertIn(match, line)
        for line in first.splitlines()[1:]:
            self.assertIn('ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1"', line)
            self.assertIn('ENV{nompath}="1"', line)
        # What multipathd goes by: a disk with ID_SERIAL and without these is none of its own.
        last = self.host.read("/run/udev/rules.d/" + rules[2])
        self.assertIn('ENV{ID_SERIAL}="itemlift-%k"', last)
        for name in ("ID_WWN", "SCSI_IDENT_SERIAL", "SCSI_IDENT_LUN_T10", "SCSI_IDENT_LUN_NAA_LOCAL"):
            self.assertIn("ENV{" + name + '}=""', last)
        for name in ("SCSI_IDENT_PORT_RELATIVE", "SCSI_IDENT_PORT_NAME", "SCSI_IDENT_TARGET_NAME"):
            self.assertIn("ENV{" + name + '}=""', last)
        self.assertEqual(self.host.ran, ["udevadm control --reload"])
        self.assertEqual(end_isolation(self.host, state), [])
        self.assertEqual(self.host.ran[1:], ["udevadm settle --timeout=10", "udevadm control --reload"])
        self.assertFalse(self.host.exists("/run/udev/rules.d"))

    def test_a_folder_of_the_machine_stays(self):
        self.host.put("/run/udev/rules.d/10-mine.rules")
        state = State(self.host, "7f3k")
        state.take_lock()
        isolate(self.host, state)
        end_isolation(self.host, state)
        self.assertEqual(self.host.names("/run/udev/rules.d"), ["10-mine.rules"])

    def test_nothing_without_udev(self):
        self.host.delete("/run/udev")
        state = State(self.host, "7f3k")
        isolate(self.host, state)
        self.assertEqual((self.host.ran, state.facts), ([], {}))


class Daemon(HostCase):
    def setUp(self):
        super().setUp()
        self.state = State(self.host, "7f3k")
        self.state.take_lock()

    def run_iscsid(self, *_):
        self.host.put("/proc/77/comm", "iscsid\n")

    def test_one_that_runs_is_left_alone(self):
        self.run_iscsid()
        iscsid.ensure_iscsid(self.host, self.state)
        iscsid.stop_iscsid(self.host, self.state)
        self.assertEqual((self.host.ran, self.host.signals), ([], []))

    def test_one_that_we_started_is_stopped(self):
        self.host.answer("iscsid", self.run_iscsid)
        iscsid.ensure_iscsid(self.host, self.state)
        self.assertTrue(self.state["iscsid_started"])
        iscsid.stop_iscsid(self.host, self.state)
        self.assertEqual(self.host.signals, [(77, 15)])

    def test_by_systemd_where_there_is_one(self):
        self.host.folder("/run/systemd/system")
        self.host.tools.add("systemctl")
        self.host.answer("systemctl start", self.run_iscsid)
        self.host.answer("systemctl stop", lambda _: self.host.delete("/proc/77"))
        iscsid.ensure_iscsid(self.host, self.state)
        iscsid.stop_iscsid(self.host, self.state)
        self.assertEqual(self.host.ran, ["systemctl start iscsid.service", "systemctl stop iscsid.service"])
        self.assertEqual(self.host.signals, [])

    def test_one_that_others_use_by_now_stays(self):
        self.host.answer("iscsid", self.run_iscsid)
        iscsid.ensure_iscsid(self.host, self.state)
        self.host.session("session9", "iqn.2003-01.other:x")
        iscsid.stop_iscsid(self.host, self.state)
        self.assertEqual(self.host.signals, [])

    def test_one_that_does_not_start(self):
        with self.assertRaises(Stop) as caught:
            iscsid.ensure_iscsid(self.host, self.state)
        self.assertEqual(caught.exception.status, 4)

    def test_the_initiator_needs_a_name(self):
        self.host.put("/etc/iscsi/initiatorname.iscsi", "GenerateName=yes\n")
        self.assertRaises(Stop, iscsid.check_initiator_name, self.host)
        self.host.put("/etc/iscsi/initiatorname.iscsi", "# name\nInitiatorName=iqn.1993-08.org.debian:01:a\n")
        iscsid.check_initiator_name(self.host)


if __name__ == "__main__":
    unittest.main()
