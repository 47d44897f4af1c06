"""An HTTP proxy on the host that does CONNECT and nothing else, and counts what it did."""

import socket
import threading


class Proxy:
    """Listens on a loopback port until it is closed; `targets` are those it has connected to."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.targets = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        # Wakes the thread that waits in accept, which closing alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = client.recv(1)
            if not piece:
                return
            head += piece
        method, target, _ = head.decode("latin-1").split(" ", 2)
        assert method == "CONNECT", head
        self.targets.append(target)
        # The guest's name for the host is of no use to the host itself.
        server = socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2])))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_carry, args=(server, client), daemon=True).start()
        _carry(client, server)


def _carry(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()
