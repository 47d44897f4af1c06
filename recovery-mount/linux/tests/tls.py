"""A TLS server on loopback that behaves like ours, and test cases that use it."""

import base64
import contextlib
import socket
import ssl
import threading
import time
import unittest

from listener import listen_at
from server import tls_context
from tests.pki import Pki
from tunnel_process import Tunnel


class TlsServer:
    """Echoes what `iscsi` clients send; answers others with `answer`."""

    def __init__(self, pki, answer=b""):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki.path("server.pem"), pki.path("server.key"))
        self.context.load_verify_locations(pki.path("ca.pem"))
        self.context.load_verify_locations(pki.path("crl.pem"))
        self.context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.set_alpn_protocols(["iscsi", "http/1.1"])
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0)) if hasattr(socket, "create_server") else listen()
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.handle, args=(raw,), daemon=True).start()

    def handle(self, raw):
        with contextlib.suppress(OSError), self.context.wrap_socket(raw, server_side=True) as connection:
            self.connections.append(connection)
            if connection.selected_alpn_protocol() == "http/1.1":
                connection.recv(65536)
                connection.sendall(self.answer)
                return
            while True:
                piece = connection.recv(65536)
                if not piece:
                    return
                connection.sendall(piece)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def address_of(portal):
    host, _, port = portal.rpartition(":")
    return host, int(port)


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


class TlsCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()

    @classmethod
    def tearDownClass(cls):
        cls.pki.remove()

    def setUp(self):
        self.server = TlsServer(self.pki)
        self.addCleanup(self.server.close)
        ca = base64.b64encode(ssl.PEM_cert_to_DER_cert(self.pki.read("ca.pem"))).decode()
        self.plan = {"host": "127.0.0.1", "port": self.server.port, "server_name": "localhost", "ca_der": ca}

    def context(self, client="client", protocol="iscsi"):
        return tls_context(self.plan, protocol, self.pki.secrets(client))

    def tunnel(self, client="client"):
        tunnel = Tunnel(self.plan, self.context(client), listen_at("127.0.0.1", 0))
        self.addCleanup(tunnel.close)
        tunnel.start()
        return tunnel

    def dial(self, tunnel):
        sock = socket.create_connection(address_of(tunnel.portal), timeout=20)
        self.addCleanup(sock.close)
        return sock

    def reports(self, tunnel, count):
        events = []
        end = time.monotonic() + 10
        while len(events) < count and time.monotonic() < end:
            events += tunnel.read_reports()
            time.sleep(0.02)
        return events
