"""Reaching the server through an HTTP proxy."""

import base64
import contextlib
import os
import socket
import threading
import unittest

from outcome import Unreachable
from proxy import excepted, proxy_for
from server import open_tls
from tests.tls import TlsCase, listen


class Proxies(TlsCase):
    def setUp(self):
        super().setUp()
        self.heads = []
        self.reply = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.proxy = listen()
        self.addCleanup(self.proxy.close)
        threading.Thread(target=self.serve_proxy, daemon=True).start()
        # Loopback is never proxied; so the server gets a name that only the proxy knows.
        self.plan["host"] = "recovery.example"
        self.environment("https_proxy", "http://me:p%40ss@127.0.0.1:{}".format(self.proxy.getsockname()[1]))

    def environment(self, name, value):
        os.environ[name] = value
        self.addCleanup(os.environ.pop, name, None)

    def serve_proxy(self):
        with contextlib.suppress(OSError):
            client, _ = self.proxy.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head)
            client.sendall(self.reply)
            if b" 200 " not in self.reply:
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self.server.port))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=copy, args=(source, sink), daemon=True).start()

    def test_connect_with_a_login(self):
        with contextlib.closing(open_tls(self.plan, self.context())) as connection:
            connection.sendall(b"through")
            self.assertEqual(connection.recv(100), b"through")
        lines = self.heads[0].decode().split("\r\n")
        self.assertEqual(lines[0], "CONNECT recovery.example:{} HTTP/1.1".format(self.plan["port"]))
        self.assertIn("Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss").decode(), lines)

    def test_refusals_say_what_to_do(self):
        for reply, words in (
            (b"HTTP/1.1 407 Login\r\n\r\n", "wants a login"),
            (b"HTTP/1.1 403 No\r\n\r\n", "status 403"),
            (b"SSH-2.0\r\n\r\n", "not HTTP"),
            (b"\r\n\r\n", "not HTTP"),
        ):
            self.reply = reply
            with self.assertRaises(Unreachable) as caught:
                open_tls(self.plan, self.context())
            self.assertIn(words, caught.exception.sentence)
            threading.Thread(target=self.serve_proxy, daemon=True).start()

    def test_no_proxy(self):
        for exceptions, outcome in (
            ("recovery.example", True),
            (".example", True),
            ("example", True),
            ("*", True),
            ("a, recovery.example:443", True),
            ("recovery.example:80", False),
            ("covery.example", False),
            ("", False),
            ("10.0.0.1", False),
        ):
            self.assertEqual(excepted("recovery.example", 443, exceptions), outcome, exceptions)
        self.assertTrue(excepted("127.0.0.1", 443, ""))
        self.environment("no_proxy", "recovery.example")
        self.assertIsNone(proxy_for("recovery.example", 443))

    def test_a_proxy_that_is_none(self):
        for address in ("socks5://x:1", "http://", "http://x:port"):
            self.environment("https_proxy", address)
            with self.assertRaises(Unreachable):
                proxy_for("recovery.example", 443)


def copy(source, sink):
    with contextlib.suppress(OSError):
        while True:
            piece = source.recv(65536)
            if not piece:
                break
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    unittest.main()
