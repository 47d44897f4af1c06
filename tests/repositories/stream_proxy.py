"""A proxy for what is not HTTP, such as SSH: it can say nothing for a while, or be gone."""

import contextlib
import socket
import threading

from http_message import Connection
from loopback_proxy import LoopbackProxy


class StreamProxy(LoopbackProxy):
    """`with StreamProxy(port) as proxy:` listens on `proxy.port` and carries bytes to `port`."""

    def __init__(self, upstream):
        super().__init__(upstream)
        self.speaking = threading.Event()
        self.speaking.set()

    @contextlib.contextmanager
    def silent(self):
        """No byte goes either way meanwhile; connections are taken."""
        self.speaking.clear()
        try:
            yield
        finally:
            self.speaking.set()

    def serve(self, client):
        with socket.create_connection(("127.0.0.1", self.upstream)) as opened:
            store = Connection(opened)
            back = threading.Thread(target=self._hand_on, args=(store, client), daemon=True)
            back.start()
            self._hand_on(client, store)
            back.join()

    def _hand_on(self, source, sink):
        with contextlib.suppress(OSError):
            while piece := source.receive():
                self.speaking.wait()
                sink.send(piece)
        for end in (source, sink):
            end.abandon()
