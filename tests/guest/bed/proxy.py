"""An HTTP proxy on the host that does CONNECT and nothing else, and counts what it did."""

import base64
import socket
import threading


class Proxy:
    """Listens on a loopback port until it is closed; `targets` are those it has connected to.

    With a login, `user:password`, it wants that; one that refuses connects to nothing.
    """

    def __init__(self, login=None, refuses=False):
        self.login = login
        self.refuses = refuses
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
        request, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = request.split(" ", 2)
        assert method == "CONNECT", head
        if refusal := self._refusal(fields):
            client.sendall(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            client.close()
            return
        self.targets.append(target)
        # The guest's name for the host is of no use to the host itself.
        server = socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2])))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_carry, args=(server, client), daemon=True).start()
        _carry(client, server)

    def _refusal(self, fields):
        if self.refuses:
            return "403 Forbidden"
        if self.login is None:
            return None
        proof = "Proxy-Authorization: Basic " + base64.b64encode(self.login.encode()).decode()
        return None if proof in fields else "407 Proxy Authentication Required"


def _carry(source, sink):
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        sink.close()
