"""A reverse proxy for HTTP/1.1 on loopback that does to requests what the test tells it to.

Requests go on as they came, so that signatures stay right. A rule says which of them meet
a fault: by method and path, the first so many of them or each so-and-so-manyth.
"""

import contextlib
import re
import socket
import threading
from dataclasses import dataclass, field

from faults import Silent
from http_message import Connection, header, read_body, read_head
from loopback_proxy import LoopbackProxy

# A request that reaches nobody within this time has met a fault that nobody ordered.
UPSTREAM_SECONDS = 60


@dataclass
class Rule:
    """Which requests meet which fault."""

    fault: object
    path: re.Pattern
    method: str | None = None
    # So many of them, then none; None: all of them.
    times: int | None = None
    # Each so-and-so-manyth of them; 1: all of them.
    every: int = 1
    seen: int = 0
    met: int = 0
    # Set when the rule is taken away: faults that hold a request let go of it.
    over: threading.Event = field(default_factory=threading.Event)


@dataclass
class Request:
    head: bytes
    method: str
    path: str
    body: bytes


class FaultProxy(LoopbackProxy):
    """`with FaultProxy(port) as proxy:` listens on `proxy.port` and hands on to `port`."""

    def __init__(self, upstream):
        super().__init__(upstream)
        self.rules = []
        # Of each GET, what it asked for: path and range.
        self.asked_for = []

    def __exit__(self, *exception):
        for rule in self.rules:
            rule.over.set()
        super().__exit__(*exception)

    def silent(self):
        """No request is answered meanwhile."""
        return self.during(Silent())

    @contextlib.contextmanager
    def during(self, fault, path="", method=None, times=None, every=1):
        """Requests whose path (with the query) the pattern is found in meet the fault meanwhile."""
        rule = Rule(fault, re.compile(path), method, times, every)
        with self.lock:
            self.rules.append(rule)
        try:
            yield rule
        finally:
            with self.lock:
                self.rules.remove(rule)
            rule.over.set()

    def _rule_for(self, request):
        with self.lock:
            if request.method == "GET":
                self.asked_for.append((request.path, wanted_range(request.head)))
            for rule in self.rules:
                if rule.method not in (None, request.method):
                    continue
                if not rule.path.search(request.path):
                    continue
                if rule.times is not None and rule.met >= rule.times:
                    continue
                rule.seen += 1
                if rule.seen % rule.every:
                    continue
                rule.met += 1
                return rule
        return None

    def serve(self, client):
        while request := read_request(client):
            rule = self._rule_for(request)
            if rule is None:
                self.forward(request, client)
            else:
                rule.fault.answer(self, request, client, rule.over)

    def forward(self, request, client):
        """The answer as it comes, a piece at a time."""
        with self.asked(request) as (head, pieces):
            client.send(head)
            for piece in pieces:
                client.send(piece)

    @contextlib.contextmanager
    def asked(self, request):
        """Head and body, in pieces, of what the store answers."""
        address = ("127.0.0.1", self.upstream)
        with socket.create_connection(address, UPSTREAM_SECONDS) as opened:
            store = Connection(opened)
            # One request on each of these: what is left of an answer bothers nobody.
            store.send(request.head + request.body)
            head = read_head(store)
            yield head, read_body(head, store, request.method)


def wanted_range(head):
    return header(head, "Range") or header(head, "x-ms-range")


def read_request(client):
    """The next request, or None where the client has closed the connection."""
    head = read_head(client)
    if not head:
        return None
    method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    body = b"".join(read_body(head, client, None))
    return Request(head, method, path, body)
