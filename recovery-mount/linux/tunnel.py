"""One iSCSI connection through TLS: bytes from the local socket to the server and back.

Neither side waits for the other: both sockets are non-blocking, and each direction has one buffer that is filled and
emptied as far as the sockets allow.
"""

import select
import ssl
import time

# A TLS record holds at most 16 KiB; this many bytes are read before they are handed on in one write. To the server go
# commands alone.
FROM_SERVER_BYTES = 256 * 1024
TO_SERVER_BYTES = 32 * 1024
# A socket that has hung up says so at once, again and again, while the other one still drains. Seconds.
HANGUP_PAUSE = 0.01
WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Pipe:
    """One direction: reads from `source`, writes to `sink`."""

    def __init__(self, source, sink, size):
        self.source = source
        self.sink = sink
        self.memory = memoryview(bytearray(size))
        self.start = 0
        self.end = 0
        self.ended = False
        self.read_wants = select.POLLIN
        self.write_wants = 0
        self.bytes = 0

    def fill(self):
        """Reads until the source has no more for now, the buffer is full, or the source has ended."""
        while not self.ended and self.end < len(self.memory):
            try:
                count = self.source.recv_into(self.memory[self.end :])
            except ssl.SSLWantWriteError:
                self.read_wants = select.POLLOUT
                return
            except WOULD_BLOCK:
                self.read_wants = select.POLLIN
                return
            except ssl.SSLError as error:
                if not is_end(error):
                    raise
                count = 0
            if count == 0:
                self.ended = True
            self.end += count

    def empty(self):
        """Writes until all is written or the sink takes no more for now; a part counts as that part."""
        self.write_wants = 0
        while self.start < self.end:
            try:
                count = self.sink.send(self.memory[self.start : self.end])
            except ssl.SSLWantReadError:
                self.write_wants = select.POLLIN
                return
            except WOULD_BLOCK:
                self.write_wants = select.POLLOUT
                return
            self.start += count
            self.bytes += count
        self.start = self.end = 0

    def step(self):
        """Moves what can be moved without waiting."""
        while True:
            self.fill()
            self.empty()
            if self.write_wants or self.ended or not self.source_holds_back():
                return

    def source_holds_back(self):
        """Whether the TLS layer has bytes of a record that the full buffer could not take: no poll shows them."""
        pending = getattr(self.source, "pending", None)
        return pending is not None and pending() > 0

    def is_done(self):
        return self.ended and self.start == self.end

    def wants(self):
        """What to wait for: (events of the source, events of the sink)."""
        can_read = not self.ended and self.end < len(self.memory)
        return (self.read_wants if can_read else 0), self.write_wants


def is_end(error):
    """Whether this is the end of a connection whose peer did not take leave of TLS first.

    The second name is what Python before 3.8 makes of it with OpenSSL 3.
    """
    return isinstance(error, ssl.SSLEOFError) or error.reason in ("UNEXPECTED_EOF_WHILE_READING", "KRB5_S_TKT_NYV")


def relay(local, remote, answered):
    """Carries bytes both ways until one side ends; what it had sent is still delivered. Raises ssl.SSLError, OSError.

    `answered` is called once, when the first bytes came from the server: only then has it accepted our certificate.
    """
    for sock in (local, remote):
        sock.setblocking(False)
    up, down = Pipe(local, remote, TO_SERVER_BYTES), Pipe(remote, local, FROM_SERVER_BYTES)
    poll = select.poll()
    poll.register(local, 0)
    poll.register(remote, 0)
    while True:
        down.step()
        if answered is not None and down.bytes:
            answered()
            answered = None
        try:
            up.step()
        except OSError:
            down.step()  # why the server has closed may still be unread
            raise
        if up.is_done() or down.is_done():
            return
        up_source, up_sink = up.wants()
        down_source, down_sink = down.wants()
        poll.modify(local, up_source | down_sink)
        poll.modify(remote, down_source | up_sink)
        if not any(event & ~(select.POLLHUP | select.POLLERR) for _, event in poll.poll()):
            time.sleep(HANGUP_PAUSE)
