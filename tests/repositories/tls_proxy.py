"""TLS before a store that has none, with a certificate of a CA of the bed's own."""

import contextlib
import socket
import ssl
import threading

from daemon import must
from http_message import Connection
from loopback_proxy import LoopbackProxy

NEW_KEY = [
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    *("-nodes", "-days", "2"),
]


class TlsProxy(LoopbackProxy):
    """`with TlsProxy(port, folder) as proxy:` takes TLS at `proxy.port`; `proxy.ca` is its CA."""

    def __init__(self, upstream, folder):
        super().__init__(upstream)
        self.ca, ca_key = folder / "ca.pem", folder / "ca.key"
        make_ca(self.ca, ca_key)
        certificate, key = folder / "store.pem", folder / "store.key"
        make_certificate(certificate, key, self.ca, ca_key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)

    def serve(self, client):
        with (
            self.context.wrap_socket(client.socket, server_side=True) as inner,
            socket.create_connection(("127.0.0.1", self.upstream)) as store,
        ):
            back = threading.Thread(target=hand_on, args=(store, inner), daemon=True)
            back.start()
            hand_on(inner, store)
            back.join()


def hand_on(source, sink):
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    for end in (source, sink):
        Connection(end).abandon()


def make_ca(certificate, key):
    must(["openssl", *NEW_KEY, "-subj", "/CN=bed's CA", "-keyout", key, "-out", certificate])


def make_certificate(certificate, key, ca, ca_key):
    """For loopback. It is no CA itself: rustls takes none of those for a server's."""
    words = ["-subj", "/CN=bed", "-CA", ca, "-CAkey", ca_key]
    words += ["-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-addext", "basicConstraints=critical,CA:FALSE"]
    must(["openssl", *NEW_KEY, *words, "-keyout", key, "-out", certificate])
