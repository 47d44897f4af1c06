"""The tunnel against a real TLS server on loopback: bytes, refusals, proxies, ends."""

import base64
import contextlib
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

from outcome import Refused, Unreachable
from server import ask_grant, open_tls, tls_context
from tests.tls import TlsCase, address_of
from tunnel import Pipe

PATTERN = bytes(range(256)) * 4096


class Carrying(TlsCase):
    def test_bytes_arrive_as_they_were_sent_whatever_the_pace(self):
        sock = self.dial(self.tunnel())
        # More than all buffers hold, sent while nobody reads: writes are cut, and must be taken up again.
        sender = threading.Thread(target=lambda: [sock.sendall(PATTERN) for _ in range(24)])
        sender.start()
        time.sleep(0.5)
        received = bytearray()
        while len(received) < 24 * len(PATTERN):
            received += sock.recv(7777 if len(received) < 100000 else 1 << 20)
        sender.join()
        self.assertEqual(bytes(received), PATTERN * 24)

    def test_several_connections_at_once_and_after_each_other(self):
        tunnel = self.tunnel()
        socks = [self.dial(tunnel) for _ in range(4)]
        for number, sock in enumerate(socks):
            sock.sendall(b"hello %d" % number)
        for number, sock in enumerate(socks):
            self.assertEqual(sock.recv(100), b"hello %d" % number)
            sock.close()
        again = self.dial(tunnel)
        again.sendall(b"again")
        self.assertEqual(again.recv(100), b"again")

    def test_what_the_server_sent_before_its_end_arrives(self):
        sock = self.dial(self.tunnel())
        sock.sendall(b"x" * 100000)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                break
            received += piece
        self.assertLessEqual(len(received), 100000)

    def test_reports_up_and_down(self):
        tunnel = self.tunnel()
        sock = self.dial(tunnel)
        sock.sendall(b"x")
        sock.recv(1)
        self.assertEqual(self.reports(tunnel, 1)[0]["link"], "up")
        self.server.close()
        self.assertEqual(sock.recv(1), b"")
        self.assertEqual(self.reports(tunnel, 1)[0]["link"], "down")

    def test_reports_that_the_server_is_away(self):
        self.server.close()
        tunnel = self.tunnel()
        self.assertEqual(self.dial(tunnel).recv(1), b"")
        event = self.reports(tunnel, 1)[0]
        self.assertEqual(event["link"], "down")
        self.assertIn("Cannot reach the server at 127.0.0.1", event["why"])

    def test_tells_why_a_login_through_it_failed(self):
        tunnel = self.tunnel()
        self.assertIsNone(tunnel.failure())
        sock = self.dial(tunnel)
        sock.sendall(b"x")
        sock.recv(1)
        sock.close()
        time.sleep(0.2)
        self.assertIsNone(tunnel.failure())  # it ended as connections do
        self.server.close()
        self.assertEqual(self.dial(tunnel).recv(1), b"")
        self.assertIn("Cannot reach the server", self.failure(tunnel).sentence)

    def test_tells_that_the_server_refused_a_login_through_it(self):
        tunnel = self.tunnel("revoked")
        sock = self.dial(tunnel)
        with contextlib.suppress(OSError):
            sock.sendall(b"x")
            sock.recv(1)
        self.assertEqual(self.failure(tunnel).why, "revoked")

    def failure(self, tunnel):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            failure = tunnel.failure()
            if failure is not None:
                return failure
            time.sleep(0.02)
        return self.fail("it told nothing")


class Records:
    """A source like the TLS layer: gives a record at a time, keeps what the reader has no room for."""

    def __init__(self, *records):
        self.records = [bytes(record) for record in records]

    def recv_into(self, room):
        if not self.records:
            raise ssl.SSLWantReadError
        piece = self.records[0][: len(room)]
        room[: len(piece)] = piece
        self.records[:1] = [self.records[0][len(piece) :]] if len(piece) < len(self.records[0]) else []
        return len(piece)

    def pending(self):
        return len(self.records[0]) if self.records else 0


class OneDirection(unittest.TestCase):
    def test_nothing_stays_in_the_tls_layer_when_the_buffer_was_full(self):
        received = []
        sink = type("Sink", (), {"send": lambda _, piece: received.append(bytes(piece)) or len(piece)})()
        pipe = Pipe(Records(b"x" * 100, *[b"y" * 16384] * 4), sink, 65536)
        pipe.step()
        self.assertEqual(sum(map(len, received)), 65636)
        self.assertEqual(pipe.wants(), (select.POLLIN, 0))

    def test_each_side_may_wait_for_the_other_event(self):
        """TLS may have to write in order to read, and to read in order to write."""
        source = type("Source", (), {"recv_into": mock.Mock(side_effect=ssl.SSLWantWriteError)})()
        sink = type("Sink", (), {"send": mock.Mock(side_effect=ssl.SSLWantReadError)})()
        pipe = Pipe(source, sink, 10)
        pipe.end = 1
        pipe.step()
        self.assertEqual(pipe.wants(), (select.POLLOUT, select.POLLIN))


class Refusals(TlsCase):
    """The server's alerts, as they arrive in the version of TLS that both prefer and in 1.2."""

    def test_alerts_are_understood_by_the_tunnel(self):
        for client, why in (("revoked", "revoked"), ("expired", "expired"), ("foreign", "unknown")):
            tunnel = self.tunnel(client)
            sock = self.dial(tunnel)
            with contextlib.suppress(OSError):
                sock.sendall(b"login request")
                self.assertEqual(sock.recv(1), b"")
            self.assertEqual(self.reports(tunnel, 1), [{"link": "refused", "why": why}])

    def test_alerts_are_understood_when_asking_about_the_grant(self):
        for tls_1_3 in (True, False):
            self.server.context.options |= 0 if tls_1_3 else ssl.OP_NO_TLSv1_3
            for client, why in (("revoked", "revoked"), ("expired", "expired"), ("foreign", "unknown")):
                with self.assertRaises(Refused) as caught:
                    ask_grant(self.plan, self.context(client, "http/1.1"))
                self.assertEqual(caught.exception.why, why)
                self.assertEqual(caught.exception.status, 2)

    def test_a_server_that_is_not_the_pinned_one(self):
        plan = dict(self.plan)
        plan["ca_der"] = base64.b64encode(ssl.PEM_cert_to_DER_cert(self.pki.read("other-ca.pem"))).decode()
        with self.assertRaises(Unreachable) as caught:
            open_tls(plan, tls_context(plan, "iscsi"))
        self.assertIn("not the server of this script", caught.exception.sentence)

    def test_a_certificate_for_another_name(self):
        plan = dict(self.plan, server_name="elsewhere.example")
        with self.assertRaises(Unreachable) as caught:
            open_tls(plan, self.context())
        self.assertIn("not the server of this script", caught.exception.sentence)


class Ends(TlsCase):
    def test_the_process_ends_with_its_parent_however_that_ends(self):
        program = (
            "import sys; sys.path[:0] = [{!r}]\n"
            "from listener import listen_at\n"
            "from tunnel_process import Tunnel\n"
            "import time\n"
            "tunnel = Tunnel({!r}, None, listen_at('127.0.0.1', 0))\n"
            "tunnel.start(); print(tunnel.pid, flush=True); time.sleep(60)\n"
        ).format(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), self.plan)
        parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        self.addCleanup(parent.stdout.close)
        pid = int(parent.stdout.readline().decode())
        self.assertTrue(alive(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        end = time.monotonic() + 5
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.02)
        self.assertFalse(alive(pid))

    def test_closing_ends_the_process_and_frees_the_port(self):
        tunnel = self.tunnel()
        pid, address = tunnel.pid, address_of(tunnel.portal)
        tunnel.close()
        self.assertFalse(alive(pid))
        with self.assertRaises(OSError):
            socket.create_connection(address, timeout=1)

    def test_a_dead_process_is_replaced_on_the_same_port(self):
        tunnel = self.tunnel()
        self.assertFalse(tunnel.restart_if_dead())
        os.kill(tunnel.pid, signal.SIGKILL)
        end = time.monotonic() + 5
        while not tunnel.restart_if_dead() and time.monotonic() < end:
            time.sleep(0.02)
        sock = self.dial(tunnel)
        sock.sendall(b"still here")
        self.assertEqual(sock.recv(100), b"still here")


def alive(pid):
    """Whether it runs; a zombie that nobody has waited for does not."""
    try:
        with open("/proc/{}/stat".format(pid)) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    unittest.main()
