"""What a store or the way to it does to a request when things go wrong.

Each has `answer(proxy, request, client, over)`: it answers in its own way, or not at all.
An OSError ends the client's connection, as does closing it here.
"""

import threading
import time
from dataclasses import dataclass, field, replace

from http_message import PIECE, header, with_length, without

# Slow answers leave in so many pieces a second.
PIECES_PER_SECOND = 20
S3_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
    "<Message>{message}</Message><RequestId>bed</RequestId></Error>"
)


@dataclass
class Silent:
    """The request is taken and never answered; the connection stays as it is."""

    def answer(self, proxy, request, client, over):
        over.wait()
        client.close()


@dataclass
class InTurn:
    """Each request meets the next of several faults."""

    faults: tuple
    lock: threading.Lock = field(default_factory=threading.Lock)
    met: int = 0

    def answer(self, proxy, request, client, over):
        with self.lock:
            fault = self.faults[self.met % len(self.faults)]
            self.met += 1
        fault.answer(proxy, request, client, over)


@dataclass
class Late:
    """The right answer, after some seconds."""

    seconds: float

    def answer(self, proxy, request, client, over):
        over.wait(self.seconds)
        proxy.forward(request, client)


@dataclass
class Status:
    """An error in place of the answer."""

    code: int
    reason: str
    body: str = ""
    headers: tuple = ()

    def answer(self, proxy, request, client, over):
        body = b"" if request.method == "HEAD" else self.body.encode()
        lines = [f"HTTP/1.1 {self.code} {self.reason}", f"Content-Length: {len(self.body)}"]
        lines += ["Content-Type: application/xml", *self.headers]
        client.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def slow_down():
    """As S3 says that it has too much to do."""
    message = "Please reduce your request rate."
    return Status(503, "Slow Down", S3_ERROR.format(code="SlowDown", message=message))


def server_busy():
    """As Azure Blob says the same."""
    message = "The server is currently unable to receive requests. Please retry your request."
    body = S3_ERROR.format(code="ServerBusy", message=message)
    return Status(503, "The server is busy.", body, ("x-ms-error-code: ServerBusy",))


def internal_error():
    message = "We encountered an internal error. Please try again."
    body = S3_ERROR.format(code="InternalError", message=message)
    return Status(500, "Internal Server Error", body)


@dataclass
class Reset:
    """The connection is lost in place of an answer."""

    def answer(self, proxy, request, client, over):
        client.reset()


@dataclass
class ResetWithin:
    """The connection is lost after so many bytes of the body."""

    after: int

    def answer(self, proxy, request, client, over):
        send_part(proxy, request, client, self.after)
        client.reset()


@dataclass
class CutOff:
    """The connection is closed in good order after so many bytes of the body."""

    after: int

    def answer(self, proxy, request, client, over):
        send_part(proxy, request, client, self.after)
        client.close()


@dataclass
class StopsWithin:
    """After so many bytes of the body nothing more comes; the connection stays as it is."""

    after: int

    def answer(self, proxy, request, client, over):
        send_part(proxy, request, client, self.after)
        over.wait()
        client.close()


@dataclass
class Slow:
    """The right answer at so many bytes a second, at full speed once the rule is taken away."""

    rate: int

    def answer(self, proxy, request, client, over):
        size = max(1, self.rate // PIECES_PER_SECOND)
        with proxy.asked(request) as (head, pieces):
            client.send(head)
            for piece in pieces:
                for start in range(0, len(piece), size):
                    client.send(piece[start : start + size])
                    over.wait(size / self.rate)


@dataclass
class WrongBytes:
    """The right length with one bit of one byte in so many turned over."""

    every: int

    def answer(self, proxy, request, client, over):
        head, body = whole(proxy, request)
        changed = bytearray(body)
        for at in range(min(self.every, len(body)) // 2, len(body), self.every):
            changed[at] ^= 0x10
        client.send(with_length(head, len(changed)) + changed)


@dataclass
class OtherPlace:
    """The right length, the bytes from elsewhere: what a broken cache before a store may do."""

    def answer(self, proxy, request, client, over):
        head, body = whole(proxy, request)
        half = len(body) // 2
        client.send(with_length(head, len(body)) + body[half:] + body[:half])


@dataclass
class Short:
    """Fewer bytes than were asked for, in an answer that is complete in itself."""

    part: float = 0.5

    def answer(self, proxy, request, client, over):
        head, body = whole(proxy, request)
        cut = body[: int(len(body) * self.part)]
        client.send(with_length(head, len(cut)) + cut)


@dataclass
class NoRange:
    """The whole object, by a server that does not know ranges. Not where these are signed."""

    def answer(self, proxy, request, client, over):
        head = without(request.head, "Range")
        proxy.forward(replace(request, head=head), client)


@dataclass
class Endless:
    """A body without an end, as fast as it is taken."""

    seconds: float = 60

    def answer(self, proxy, request, client, over):
        client.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = f"{PIECE:x}\r\n".encode() + bytes(PIECE) + b"\r\n"
        until = time.monotonic() + self.seconds
        while not over.is_set() and time.monotonic() < until:
            client.send(chunk)
        client.close()


def send_part(proxy, request, client, size):
    with proxy.asked(request) as (head, pieces):
        client.send(head)
        for piece in pieces:
            client.send(piece[:size])
            size -= len(piece)
            if size <= 0:
                return


def whole(proxy, request):
    """Head and body; the body as it is meant, not in chunks."""
    with proxy.asked(request) as (head, pieces):
        body = b"".join(pieces)
    if header(head, "Transfer-Encoding"):
        raise OSError("an answer in chunks cannot be changed")
    return head, body
