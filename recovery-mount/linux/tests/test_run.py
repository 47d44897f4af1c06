"""The run around it: password, waiting, flags, the report."""

import contextlib
import io
import json
import os
import signal
import sys
import time
import unittest
from unittest import mock

import talk
from flags import parse_flags
from main import in_background
from outcome import Refused, Stop, Unreachable
from report import print_report
from server import parse_answer, server_clock, unix_time
from tests.fakes import PLAN, FakeTalk, HostCase
from waiting import ASKED, EXPIRED, GONE, LOST, LOST_AFTER, Signals, Watch


class Password(unittest.TestCase):
    SEALED = object()

    def ask(self, typed, from_stdin=False, terminal=True):
        said = FakeTalk()
        with mock.patch.object(
            talk, "unseal", lambda sealed, plan, word: {"ok": 1} if word == "right" else None
        ), mock.patch.object(talk.getpass, "getpass", side_effect=typed), mock.patch.object(
            talk, "read_line", lambda _: typed[0]
        ), mock.patch.object(sys, "stdin", mock.Mock(isatty=lambda: terminal)):
            try:
                return talk.ask_secrets(said, self.SEALED, PLAN, from_stdin), said.text
            except Stop as stop:
                return stop, said.text

    def test_three_tries(self):
        self.assertEqual(self.ask(["right"]), ({"ok": 1}, ""))
        self.assertEqual(self.ask(["x", "y", "right"])[0], {"ok": 1})
        stop, text = self.ask(["x", "y", "z", "right"])
        self.assertEqual(stop.status, 2)
        self.assertEqual(text, "Wrong password. 2 tries left.\nWrong password. 1 try left.")

    def test_from_standard_input_once(self):
        self.assertEqual(self.ask(["right"], from_stdin=True)[0], {"ok": 1})
        self.assertEqual(self.ask(["x"], from_stdin=True)[0].status, 2)

    def test_without_a_terminal(self):
        self.assertIn("--password-stdin", self.ask(["right"], terminal=False)[0].sentence)

    def test_one_line_is_read_and_no_more(self):
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        os.write(writing, b"first\nsecond\n" + b"x" * 1000)
        os.close(writing)
        self.assertEqual([talk.read_line(reading), talk.read_line(reading)], ["first", "second"])
        self.assertEqual(len(talk.read_line(reading)), talk.PASSWORD_MAX_BYTES)


class Talking(unittest.TestCase):
    def test_names_steer_no_terminal(self):
        out = io.StringIO()
        talker = talk.Talk(out=out)
        talker.say("Attaching 1 disk of web\x1b]0;owned\x07\n01.")
        self.assertEqual(out.getvalue(), "Attaching 1 disk of web\\x1b]0;owned\\x07\\n01.\n")
        with mock.patch("sys.stdin") as stdin:
            stdin.isatty.return_value = True
            stdin.readline.return_value = "y\n"
            self.assertTrue(talker.agrees("Clean up \x1b[2J?"))
        self.assertNotIn("\x1b", out.getvalue())


class FakeTunnel:
    def __init__(self):
        self.events = []

    def restart_if_dead(self):
        return False

    def read_reports(self):
        events, self.events = self.events, []
        return events


class Waiting(HostCase):
    def setUp(self):
        super().setUp()
        self.host.session("session2", PLAN["iqn"])
        self.tunnel = FakeTunnel()
        self.facts = {"expires_at": self.host.clock + 3600}
        state = mock.Mock(note=lambda **facts: self.facts.update(facts))
        state.__class__.__getitem__ = lambda _, key: self.facts[key]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.watch = Watch(self.host, PLAN, state, self.talk, self.tunnel, None, Signals())
        self.answer = (self.host.clock + 3600, self.host.clock)

    def ending(self, after=0.0):
        self.host.clock += after
        with mock.patch("waiting.ask_grant", side_effect=self.ask):
            return self.watch.ending()

    def ask(self, plan, context):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def test_all_well(self):
        self.assertIsNone(self.ending())
        self.assertIsNone(self.ending(61))

    def test_the_tunnel_is_refused(self):
        for why in ("revoked", "expired"):
            self.tunnel.events = [{"link": "down", "why": ""}, {"link": "refused", "why": why}]
            self.assertEqual(self.ending(), why)

    def test_the_server_says_it_when_asked(self):
        self.answer = Refused("revoked")
        self.assertIsNone(self.ending(30))
        self.assertEqual(self.ending(31), "revoked")

    def test_a_renewal_is_seen(self):
        self.answer = (self.host.clock + 50000, self.host.clock + 61)
        self.assertIsNone(self.ending(61))
        self.assertEqual(self.facts["expires_at"], self.answer[0])
        self.assertIn("renewed: 13 h", self.talk.text)

    def test_the_end_is_by_the_servers_clock(self):
        self.answer = (self.host.clock + 3600, self.host.clock + 3590)
        self.assertIsNone(self.ending(61))
        self.answer = Unreachable("away")
        self.assertIsNone(self.ending(5))
        self.assertEqual(self.ending(6), EXPIRED)

    def test_a_lost_server_has_time_to_come_back(self):
        self.answer = Unreachable("Cannot reach the server.")
        self.tunnel.events = [{"link": "down", "why": "x"}]
        self.assertIsNone(self.ending())
        self.assertEqual(self.talk.said[0], "Cannot reach the server.")
        for _ in range(LOST_AFTER // 5 - 1):
            self.assertIsNone(self.ending(5))
        self.assertEqual(len(self.talk.said), 2)
        self.answer = (self.facts["expires_at"], self.host.clock)
        self.assertIsNone(self.ending(5))
        self.assertEqual(self.talk.said[-1], "The server is back.")
        self.answer = Unreachable("Cannot reach the server.")
        self.tunnel.events = [{"link": "down", "why": "x"}]
        self.assertIsNone(self.ending(1))
        self.assertEqual(self.ending(LOST_AFTER), LOST)

    def test_a_signal_does_not_wait_for_the_servers_answer(self):
        def ask(plan, context):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)

        self.host.clock += 61
        started = time.monotonic()
        with mock.patch("waiting.ask_grant", side_effect=ask):
            self.assertEqual(self.watch.ending(), ASKED)
        self.assertLess(time.monotonic() - started, 10)
        # Another one disturbs nothing of the closing that follows.
        with self.watch.signals.breaking_off():
            os.kill(os.getpid(), signal.SIGTERM)

    def test_a_session_that_somebody_logged_out(self):
        self.host.delete("/sys/class/iscsi_session/session2")
        self.assertEqual(self.ending(), GONE)

    def test_warnings_once_each(self):
        for _ in range(4):
            self.answer = (self.facts["expires_at"], self.host.clock + 600)
            self.ending(600)
        warnings = [text for text in self.talk.said if text.endswith("min left.")]
        self.assertEqual(len(warnings), 1)


class Answers(unittest.TestCase):
    PLAN = {"host": "h"}

    def answer(self, status, body, *headers):
        head = ["HTTP/1.1 {} X".format(status), "Date: Sat, 21 Nov 2026 00:25:09 GMT"] + list(headers)
        return parse_answer(("\r\n".join(head) + "\r\n\r\n").encode() + body, self.PLAN)

    def test_end_and_clock(self):
        body = b'{"grant":"g","state":"active","expires_at":"2026-11-21T12:25:09Z"}'
        self.assertEqual(self.answer(200, body), (1795263909, 1795220709))
        chunked = b"%x;x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
        self.assertEqual(self.answer(200, chunked, "Transfer-Encoding: chunked"), (1795263909, 1795220709))

    def test_refusals(self):
        for state in ("revoked", "expired"):
            with self.assertRaises(Refused):
                self.answer(200, json.dumps({"state": state, "expires_at": 1}).encode())

    def test_nonsense(self):
        for status, body in (
            (500, b"{}"),
            (200, b""),
            (200, b"[]"),
            (200, b'{"state":"active"}'),
            (200, b"\xff"),
            (200, b'{"state":"active","expires_at":"soon"}'),
            (200, b'{"state":"active","expires_at":null}'),
        ):
            with self.assertRaises(Unreachable, msg=body):
                self.answer(status, body)
        with self.assertRaises(Unreachable):
            parse_answer(b"", self.PLAN)
        with self.assertRaises(Unreachable):
            self.answer(200, b"zz\r\n", "Transfer-Encoding: chunked")
        with self.assertRaises(Unreachable):
            self.answer(200, b"5\r\nabcde", "Transfer-Encoding: chunked")

    def test_the_servers_clock(self):
        self.assertEqual(server_clock("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777)
        for date in (None, "", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nix 1994 0"):
            self.assertAlmostEqual(server_clock(date), time.time(), delta=5)

    def test_times(self):
        for text in ("2026-11-21T00:25Z", "2026-13-21T00:25:09Z", "", "Z"):
            with self.assertRaises(ValueError):
                unix_time(text)
        for text in (
            "2026-11-21T00:25:09Z",
            "2026-11-21T00:25:09.123456789Z",
            "2026-11-21t02:25:09+02:00",
            "2026-11-20T19:25:09-05:00",
            1795220709,
            1795220709.9,
        ):
            self.assertEqual(unix_time(text), 1795220709, text)


class Flags(unittest.TestCase):
    def refused(self, *arguments):
        with self.assertRaises(SystemExit) as caught, contextlib.redirect_stderr(io.StringIO()):
            parse_flags(list(arguments))
        return caught.exception.code

    def test_usage(self):
        for arguments in (
            ["--password", "x"],
            ["x"],
            ["--check", "--detach"],
            ["--format", "xml"],
            ["--into", ""],
            ["--det"],
        ):
            self.assertEqual(self.refused(*arguments), 1, arguments)
        flags = parse_flags(["--detach", "--yes", "--into", "/x", "--format", "json"])
        self.assertTrue(flags.detach and flags.yes)


class Background(unittest.TestCase):
    """A process that forks again from the test: what the work of `--detach` does, and what is told of it."""

    def status(self, work):
        return in_background(lambda mounted: os._exit(work(mounted)))

    def setUp(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def test_an_end_before_mounting_is_told_as_it_is(self):
        self.assertEqual(self.status(lambda mounted: 3), 3)

    def test_its_status_is_known_once_it_has_mounted(self):
        def work(mounted):
            mounted(5)
            return 0

        self.assertEqual(self.status(work), 5)
        os.wait()

    def test_a_killed_process_is_no_success(self):
        with self.assertRaises(Stop) as stopped:
            self.status(lambda mounted: os.kill(os.getpid(), signal.SIGKILL))
        self.assertEqual(stopped.exception.status, 4)
        self.assertIn("--unmount", stopped.exception.sentence)


class Report(unittest.TestCase):
    def test_is_one_line_with_these_keys(self):
        out = io.StringIO()
        volume = {
            "name": "Volume1",
            "disk": "d",
            "source": "partition 1",
            "fs": "ext4",
            "label": None,
            "size": 1,
            "path": os.fsdecode("/w/\u6771".encode()),
            "mounted": True,
            "reason": None,
        }
        with contextlib.redirect_stdout(out):
            print_report("mounted", PLAN, 1795220709, [volume])
        self.assertEqual(out.getvalue().count("\n"), 1)
        report = json.loads(out.getvalue())
        self.assertEqual(list(report), ["state", "grant", "vm", "point", "expires_at", "volumes"])
        self.assertEqual(report["expires_at"], "2026-11-21T00:25:09Z")
        self.assertEqual(report["volumes"][0]["path"], "/w/\u6771")


if __name__ == "__main__":
    unittest.main()
