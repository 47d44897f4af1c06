"""A whole run on a fake machine, but with the real tunnel, real TLS and real signals."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import ssl
import threading
import unittest
from unittest import mock

from host import Result
from main import act
from outcome import Refused, Stop
from preflight import report_checks
from run import Run
from server import ask_grant, tls_context
from talk import Talk
from tests.fakes import PLAN, SECRETS, FakeTalk, HostCase
from tests.pki import Pki
from tests.tls import TlsServer, address_of

IQN = PLAN["iqn"]
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    b'{"grant":"7f3k","state":"active","expires_at":"2099-01-01T00:00:00Z"}'
)


class WholeRun(HostCase):
    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()

    @classmethod
    def tearDownClass(cls):
        cls.pki.remove()

    def setUp(self):
        super().setUp()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.server = TlsServer(self.pki, ANSWER)
        self.addCleanup(self.server.close)
        ca = base64.b64encode(ssl.PEM_cert_to_DER_cert(self.pki.read("ca.pem"))).decode()
        self.plan = dict(PLAN, port=self.server.port, ca_der=ca)
        self.secrets = dict(SECRETS, **self.pki.secrets("client"))
        host = self.host
        host.folder("/data")
        host.put("/etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:a\n")
        host.put("/proc/77/comm", "iscsid\n")
        host.put("/proc/filesystems", "\text4\n")
        host.found("/dev/sdb1", ID_FS_TYPE="ext4", ID_FS_LABEL_ENC="root")
        host.found("/dev/sdb2", ID_FS_TYPE="swap")
        host.found("/dev/sdc", ID_FS_TYPE="ext4")
        host.answer("iscsiadm", self.iscsiadm)
        host.answer("mount", self.mount)
        host.answer("umount", self.umount)
        self.mounted = []

    def iscsiadm(self, argv):
        if argv[-1] == "new":
            self.host.put("/etc/iscsi/nodes/{}/{},-1/default".format(IQN, argv[6]), "# BEGIN\n# END RECORD\n")
        elif argv[-1] == "--login":
            self.host.session("session2", IQN)
            self.host.disk("sdb", partitions=[(1, 4096), (2, 4096)], session="session2", lun=0)
            self.host.disk("sdc", session="session2", lun=1)
        elif argv[-1] == "--logout":
            self.host.delete("/sys/class/iscsi_session/session2")

    def mount(self, argv):
        self.mounted.append((argv[-2], argv[-1]))
        self.host.mounted(*self.mounted)

    def umount(self, argv):
        self.mounted = [(device, path) for device, path in self.mounted if path not in argv]
        self.host.mounted(*self.mounted)

    def run_until(self, when_mounted, talk=None):
        """A run that calls `when_mounted` when the volumes are there; (status, what it said)."""
        talk = talk or FakeTalk()
        contexts = [tls_context(self.plan, protocol, self.secrets) for protocol in ("iscsi", "http/1.1")]
        expires_at, _ = ask_grant(self.plan, contexts[1])
        run = Run(self.host, talk, self.plan, self.secrets, contexts, "/data", 64 << 20)
        return run.go(expires_at, when_mounted), talk

    def assert_nothing_is_left(self):
        self.assertEqual(self.host.names("/data"), [])
        self.assertEqual(self.host.names("/etc/iscsi/nodes"), [])
        self.assertEqual(self.host.names("/run/udev"), [])
        self.assertFalse(self.host.exists("/run/itemlift"))
        self.assertEqual(self.mounted, [])
        with self.assertRaises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)

    def end_by(self, number):
        return lambda _status: threading.Timer(0.3, os.kill, (os.getpid(), number)).start()

    def test_a_check_with_the_password_asks_about_the_grant(self):
        def check(password):
            secrets = {"right": self.secrets}
            with mock.patch("preflight.unseal", lambda _sealed, _plan, typed: secrets.get(typed)):
                status, found = report_checks(self.host, FakeTalk(), self.plan, "/data", 64 << 20, {}, password)
            line = next(each for each in found["checks"] if each["what"] == "Grant")
            return status, line["ok"], line["detail"]

        status, ok, detail = check("right")
        self.assertEqual((status, ok), (0, True), detail)
        self.assertRegex(detail, "the password is right; [0-9]+ h [0-9]+ min left")
        self.assertEqual(check("wrong"), (2, False, "Wrong password."))
        status, ok, detail = check(None)
        self.assertEqual((status, ok), (0, True))
        self.assertIn("--check --password-stdin", detail)
        self.server.answer = ANSWER.replace(b"active", b"revoked")
        status, ok, detail = check("right")
        self.assertEqual((status, ok), (2, False))
        self.assertIn("The grant was revoked", detail)
        self.server.close()
        self.assertEqual(check("right"), (3, True, "the password is right; the server cannot be asked"))

    def test_mounts_shows_and_closes_by_each_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            status, talk = self.run_until(self.end_by(number))
            self.assertEqual(status, 0)
            self.assertIn("/data/web01-2026-11-20T02-00-00Z/Volume2", talk.text)
            self.assertIn("swap", talk.text)
            self.assertEqual(talk.said[-1], "Closed. Nothing is left behind.")
            self.assert_nothing_is_left()

    def test_the_tunnel_carries_what_the_initiator_sends(self):
        seen = []

        def use(_status):
            state = json.loads(self.host.read("/run/itemlift/7f3k.json"))
            with contextlib.closing(socket.create_connection(address_of(state["portal"]), 5)) as sock:
                sock.sendall(b"a login request")
                seen.append(sock.recv(100))
            os.kill(os.getpid(), signal.SIGTERM)

        self.run_until(use)
        self.assertEqual(seen, [b"a login request"])

    def test_a_volume_that_cannot_be_mounted_makes_status_5(self):
        for options in (",errors=continue", ",errors=continue,noload"):
            words = "mount -t ext4 -o ro,nosuid,nodev,noexec{} /dev/sdc".format(options)
            self.host.answer(words, Result(32, "", "mount: x: broken."))
        status, talk = self.run_until(self.end_by(signal.SIGTERM))
        self.assertEqual(status, 5)
        self.assertIn("not mounted: cannot be mounted: broken", talk.text)

    def test_a_disk_that_is_not_served_is_named_and_makes_status_5(self):
        self.plan["not_served"] = [{"lun": 2, "name": "logs\x1b[2J", "reason": "the file is empty; copy it again"}]
        status, talk = self.run_until(self.end_by(signal.SIGTERM))
        self.assertEqual(status, 5)
        self.assertIn("disk logs\x1b[2J (LUN 2): the file is empty; copy it again", talk.text)
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            self.run_until(self.end_by(signal.SIGTERM), Talk(as_json=True))
        for line in out.getvalue().splitlines():
            self.assertEqual(json.loads(line)["not_served"], self.plan["not_served"])

    def test_nothing_to_mount_closes_at_once(self):
        self.host.answer("mount", Result(32, "", "mount: x: broken."))
        with self.assertRaises(Stop) as caught:
            self.run_until(lambda _: self.fail("was told to be mounted"))
        self.assertEqual(caught.exception.status, 5)
        self.assert_nothing_is_left()

    def test_a_failed_login_leaves_nothing(self):
        self.host.answer(
            "iscsiadm -m node -T {} -p".format(IQN),
            lambda argv: (
                Result(8, "", "iscsiadm: connection timed out") if argv[-1] == "--login" else self.iscsiadm(argv)
            ),
        )
        with self.assertRaises(Stop) as caught:
            self.run_until(lambda _: None)
        self.assertEqual(caught.exception.status, 3)
        self.assert_nothing_is_left()

    def test_an_interrupt_while_attaching_leaves_nothing(self):
        def login(argv):
            self.iscsiadm(argv)
            if argv[-1] == "--login":
                os.kill(os.getpid(), signal.SIGINT)

        self.host.answer("iscsiadm", login)
        with self.assertRaises(Stop) as caught:
            self.run_until(lambda _: self.fail("was mounted"))
        self.assertEqual(caught.exception.sentence, "Interrupted.")
        self.assert_nothing_is_left()

    def test_a_bug_leaves_nothing(self):
        with mock.patch("run.mount_volumes", side_effect=ZeroDivisionError), self.assertRaises(ZeroDivisionError):
            self.run_until(lambda _: None)
        self.assert_nothing_is_left()

    def test_a_revoke_closes_with_status_2(self):
        def revoke(_status):
            state = json.loads(self.host.read("/run/itemlift/7f3k.json"))
            with contextlib.closing(
                socket.create_connection(address_of(state["portal"]), 5)
            ) as sock, contextlib.suppress(OSError):
                sock.sendall(b"a login request")
                sock.recv(100)

        contexts = [tls_context(self.plan, protocol, self.secrets) for protocol in ("iscsi", "http/1.1")]
        contexts[0] = tls_context(self.plan, "iscsi", self.pki.secrets("revoked"))
        talk = FakeTalk()
        status = Run(self.host, talk, self.plan, self.secrets, contexts, "/data", 64 << 20).go(4e9, revoke)
        self.assertEqual(status, 2)
        self.assertIn("The grant was revoked. Closing.", talk.said)
        self.assert_nothing_is_left()

    def test_reports_are_lines_of_json(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            self.run_until(self.end_by(signal.SIGTERM), Talk(as_json=True))
        first, last = [json.loads(line) for line in out.getvalue().splitlines()]
        self.assertEqual((first["state"], last["state"]), ("mounted", "closed"))
        self.assertEqual([volume["mounted"] for volume in first["volumes"]], [True, False, True])
        self.assertEqual([volume["name"] for volume in first["volumes"]], ["Volume1", None, "Volume2"])
        self.assertFalse(any(volume["mounted"] for volume in last["volumes"]))

    def test_main_path_of_a_second_run_and_of_status(self):
        flags = mock.Mock(check=False, unmount=False, status=False, detach=False, into=self.host.at("/data"))

        def again(_status):
            talk = FakeTalk()
            self.assertEqual(act(self.host, talk, self.plan, {}, flags), 2)
            self.assertIn("Already attached", talk.text)
            self.assertIn("/data/web01-2026-11-20T02-00-00Z", talk.text)
            flags.status = True
            self.assertEqual(act(self.host, FakeTalk(), self.plan, {}, flags), 0)
            os.kill(os.getpid(), signal.SIGTERM)

        self.run_until(again)
        talk = FakeTalk()
        self.assertEqual(act(self.host, talk, self.plan, {}, flags), 0)
        self.assertIn("Nothing of this grant is mounted", talk.text)

    def test_a_revoked_grant_is_refused_before_anything_is_done(self):
        context = tls_context(self.plan, "http/1.1", self.pki.secrets("revoked"))
        with self.assertRaises(Refused):
            ask_grant(self.plan, context)


if __name__ == "__main__":
    unittest.main()
