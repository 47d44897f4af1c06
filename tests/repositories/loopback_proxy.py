"""A port on loopback before a store's own, and the connections that come in at it."""

import contextlib
import socket
import threading

from http_message import Connection, MessageError

BACKLOG = 128


class LoopbackProxy:
    """Hands each connection to `serve(client)`, in a thread of its own; listens on `port`."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.lock = threading.Lock()
        self.connections = set()

    def __enter__(self):
        self._listen(0)
        return self

    def __exit__(self, *exception):
        self._close()

    @contextlib.contextmanager
    def refusing(self):
        """Nothing listens meanwhile, and every connection that there was is lost."""
        self._close()
        try:
            yield
        finally:
            self._listen(self.port)

    def _listen(self, port):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _close(self):
        # Wakes the thread that waits in accept, which closing alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                connection.abandon()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            connection = Connection(client)
            with self.lock:
                self.connections.add(connection)
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, client):
        try:
            with contextlib.suppress(OSError, MessageError):
                self.serve(client)
        finally:
            client.close()
            with self.lock:
                self.connections.discard(client)
