"""While it is mounted: waits for whatever ends it, and keeps an eye on the grant and the tunnel."""

import contextlib
import os
import select
import signal
import termios
import tty

from iscsi import REPLACEMENT_TIMEOUT, sessions_of
from outcome import DONE, REFUSED, UNREACHABLE, Refused, Unreachable
from overlays import full_overlays
from server import ask_grant
from table import duration

# The server is asked about the grant this often (a renewal shows then), and sooner after trouble. Seconds.
ASK_INTERVAL = 60
ASK_AFTER_TROUBLE = 5
# As long as the kernel holds reads back: after that, whoever reads has errors anyway.
LOST_AFTER = REPLACEMENT_TIMEOUT
TICK = 0.5
# The overlays are looked at this often. Seconds.
OVERLAY_INTERVAL = 10
WARN_BEFORE = (30 * 60, 10 * 60, 60)

# Why it ended.
ASKED, REVOKED, EXPIRED, UNKNOWN, LOST, GONE = "asked", "revoked", "expired", "unknown", "lost", "gone"
FAREWELLS = {
    ASKED: (DONE, "Closing."),
    REVOKED: (REFUSED, "The grant was revoked. Closing."),
    EXPIRED: (REFUSED, "The grant has expired. Closing."),
    UNKNOWN: (REFUSED, "The server does not know the grant any more. Closing."),
    LOST: (UNREACHABLE, "The server was out of reach for {} s. Closing.".format(LOST_AFTER)),
    GONE: (UNREACHABLE, "The iSCSI session is gone: somebody logged it out. Closing."),
}


class BrokenOff(Exception):
    """The user wants out while something was waited for."""


class Signals:
    """Remembers that SIGINT, SIGTERM or SIGHUP came, instead of dying in the middle of something."""

    def __init__(self):
        self.came = False
        self.waits = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.remember)

    def remember(self, _number, _frame):
        first, self.came = not self.came, True
        if first and self.waits:
            raise BrokenOff()

    @contextlib.contextmanager
    def breaking_off(self):
        """For what may take its time and changes nothing: a signal ends it with BrokenOff."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False


class Keyboard:
    """Standard input without Enter, if it is a terminal that belongs to us; else lines from whoever feeds it."""

    def __init__(self, descriptor=0):
        self.descriptor = descriptor
        self.saved = None
        self.open = True
        if os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp():
            self.saved = termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor)
        elif os.isatty(descriptor):
            self.open = False

    def asks_to_close(self, seconds):
        """Waits this long for a q."""
        ready = []
        if self.open:
            ready = select.select([self.descriptor], [], [], seconds)[0]
        else:
            select.select([], [], [], seconds)
        if not ready:
            return False
        try:
            typed = os.read(self.descriptor, 256)
        except OSError:
            typed = b""
        self.open = bool(typed)
        return typed.strip().lower() in (b"q", b"quit")

    def restore(self):
        if self.saved is not None:
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self.saved)


class Watch:
    """What is known about the grant and the way to the server."""

    def __init__(self, host, plan, state, talk, tunnel, context, signals):
        self.host = host
        self.plan = plan
        self.state = state
        self.talk = talk
        self.tunnel = tunnel
        self.context = context
        self.signals = signals
        self.expires_at = state["expires_at"]
        self.clock_shift = 0
        self.lost_since = None
        self.told_lost = False
        self.next_ask = host.monotonic() + ASK_INTERVAL
        self.next_look = host.monotonic()
        self.warned = len([1 for before in WARN_BEFORE if self.time_left() < before])

    def time_and_way_out(self):
        return "{} left. To close: q here, or --unmount.".format(duration(self.time_left()).capitalize())

    def time_left(self):
        return self.expires_at - (self.host.now() + self.clock_shift)

    def learn(self, expires_at, server_clock):
        """Takes in an answer of the server."""
        self.clock_shift = server_clock - self.host.now()
        self.lost_since = None
        if self.told_lost:
            self.told_lost = False
            self.talk.say("The server is back.")
        if expires_at != self.expires_at:
            self.expires_at = expires_at
            self.state.note(expires_at=expires_at)
            self.warned = len([1 for before in WARN_BEFORE if self.time_left() < before])
            self.talk.say("The grant was renewed: {} left.".format(duration(self.time_left())))

    def ending(self):
        """Looks at everything once; the reason to close, or None."""
        self.tunnel.restart_if_dead()
        for event in self.tunnel.read_reports():
            if event["link"] == "refused":
                return event["why"]
            if event["link"] == "down":
                self.trouble()
        if not sessions_of(self.host, self.plan["iqn"]):
            return GONE
        now = self.host.monotonic()
        if now >= self.next_ask or self.time_left() <= 0:
            reason = self.ask()
            if reason is not None:
                return reason
        if self.time_left() <= 0:
            return EXPIRED
        if self.lost_since is not None and now - self.lost_since >= LOST_AFTER:
            return LOST
        self.warn()
        if now >= self.next_look:
            self.next_look = now + OVERLAY_INTERVAL
            self.look_at_overlays()
        return None

    def look_at_overlays(self):
        """Says once of each overlay that it is full; on record, for a run in the background is asked by --status."""
        known = self.state.get("full", [])
        for name in full_overlays(self.host, self.state.grant):
            if name not in known:
                known = known + [name]
                self.state.note(full=known)
                self.talk.say(full_sentence(self.state, name))

    def trouble(self):
        now = self.host.monotonic()
        if self.lost_since is None:
            self.lost_since = now
            self.next_ask = now
        self.next_ask = min(self.next_ask, now + ASK_AFTER_TROUBLE)

    def ask(self):
        self.next_ask = self.host.monotonic() + ASK_INTERVAL
        try:
            # A server that is gone would take ten seconds of the time to close.
            with self.signals.breaking_off():
                answer = ask_grant(self.plan, self.context)
            self.learn(*answer)
        except BrokenOff:
            return ASKED
        except Refused as refused:
            return refused.why
        except Unreachable as unreachable:
            if not self.told_lost:
                self.told_lost = True
                self.talk.say(unreachable.sentence)
                self.talk.say("Waiting up to {} s for the server to come back.".format(LOST_AFTER))
            self.trouble()
        return None

    def warn(self):
        if self.warned < len(WARN_BEFORE) and self.time_left() < WARN_BEFORE[self.warned]:
            self.warned += 1
            self.talk.say("{} left.".format(duration(self.time_left()).capitalize()))


def full_sentence(state, name):
    where = state.get("overlays", {}).get(name, name)
    return (
        "The overlay of {} is full: reading what lies there gives errors from now on; the recovery point and this "
        "machine are unharmed. Close, and run the script with a larger --overlay-size.".format(where)
    )


def wait_for_end(watch, signals, keyboard):
    """Returns why it is to be closed."""
    try:
        while not signals.came:
            reason = watch.ending()
            if reason is not None:
                return reason
            watch.talk.below(watch.time_and_way_out())
            if keyboard.asks_to_close(TICK):
                break
        return ASKED
    finally:
        keyboard.restore()
        watch.talk.below("")
