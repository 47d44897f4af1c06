"""HTTP/1.1 messages on a socket, as far as a proxy has to understand them."""

import re
import socket
import struct

MAX_HEAD = 64 << 10
PIECE = 64 << 10


class MessageError(Exception):
    """What came is no message that this proxy understands."""


class Connection:
    """A socket, and what was received from it and not yet used."""

    def __init__(self, opened):
        self.socket, self.pending = opened, b""

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, most=PIECE):
        """What is there, at most so many bytes; empty at the end."""
        if self.pending:
            taken, self.pending = self.pending[:most], self.pending[most:]
            return taken
        return self.socket.recv(most)

    def reset(self):
        """Ends the connection as a machine does that has lost it: RST in place of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def abandon(self):
        """Wakes the thread that waits for this connection."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.socket.close()

    def close(self):
        self.socket.close()


def read_head(connection):
    """Everything to the empty line and with it; empty where the connection ends before."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.receive()
        if not piece:
            return b""
        head += piece
        if len(head) > MAX_HEAD:
            raise MessageError("a head without an end")
    head, separator, rest = head.partition(b"\r\n\r\n")
    connection.pending = rest + connection.pending
    return head + separator


def header(head, name):
    found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", head)
    return found[1].decode("latin-1").strip() if found else None


def without(head, name):
    return re.sub(rb"(?im)^" + name.encode() + rb":[^\r\n]*\r\n", b"", head)


def with_length(head, length):
    """The head with another length of its body."""
    head = without(without(head, "Content-Length"), "Transfer-Encoding")
    return head[:-2] + f"Content-Length: {length}\r\n\r\n".encode()


def read_body(head, connection, asked_by):
    """The body behind a head in pieces as they come; `asked_by`: the method of its request."""
    status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    if asked_by == "HEAD" or (status and status[1] in (b"204", b"304")):
        return
    if (header(head, "Transfer-Encoding") or "").lower() == "chunked":
        yield from _chunks(connection)
        return
    length = header(head, "Content-Length")
    if length is not None:
        yield from _exactly(connection, int(length))
    elif status:
        while piece := connection.receive():
            yield piece


def _exactly(connection, left):
    while left:
        piece = connection.receive(min(left, PIECE))
        if not piece:
            raise MessageError("a body that ends early")
        left -= len(piece)
        yield piece


def _chunks(connection):
    while True:
        line = _line(connection)
        yield line
        size = int(line.split(b";")[0], 16)
        yield from _exactly(connection, size)
        if size:
            yield from _exactly(connection, 2)
            continue
        while (line := _line(connection)) != b"\r\n":
            yield line
        yield line
        return


def _line(connection):
    line = b""
    while not line.endswith(b"\r\n"):
        byte = connection.receive(1)
        if not byte or len(line) > MAX_HEAD:
            raise MessageError("a chunk without an end")
        line += byte
    return line
