"""The tunnel as a process of its own, which ends when the script ends, however that ends."""

import json
import os
import resource
import select
import signal
import socket
import threading
import time

from listener import MAX_LINKS
from outcome import Refused, Stop, Unreachable
from server import open_tls, tls_failure
from tunnel import relay

# After a failure, the next attempt waits this long, so that the initiator's retries do not become a storm. Seconds.
RETRY_PAUSE = 0.5
# Why a link is down that one of the two sides has closed.
ENDED = "the connection ended"


class Tunnel:
    """Starts and watches the process. The parent keeps the listening socket: a new process goes on with it."""

    def __init__(self, plan, context, listener):
        self.plan = plan
        self.context = context
        self.listener = listener
        self.portal = "{}:{}".format(*listener.getsockname())
        self.pid = None
        self.reports = None
        self.lifeline = None
        self.unread = b""

    def start(self):
        """Forks the process; it lives as long as the other end of its lifeline is open."""
        lifeline_end, self.lifeline = os.pipe()
        self.reports, reports_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.lifeline)
                serve_links(self.listener, self.plan, self.context, lifeline_end, reports_end)
            finally:
                os._exit(0)
        os.close(lifeline_end)
        os.close(reports_end)
        os.set_blocking(self.reports, False)

    def read_reports(self):
        """What the process has told since the last time, as dicts with "link" = up, down or refused, and "why"."""
        try:
            while True:
                piece = os.read(self.reports, 4096)
                if not piece:
                    break
                self.unread += piece
        except BlockingIOError:
            pass
        lines = self.unread.split(b"\n")
        self.unread = lines.pop()
        return [json.loads(line.decode()) for line in lines]

    def failure(self):
        """Why its last connection did not come about or broke, as a Stop; None if it just ended, or still stands."""
        told = [event for event in self.read_reports() if event["why"] != ENDED]
        if not told or told[-1]["link"] == "up":
            return None
        return Refused(told[-1]["why"]) if told[-1]["link"] == "refused" else Unreachable(told[-1]["why"])

    def restart_if_dead(self):
        """Starts the process again if it is gone; tells whether it was."""
        if self.pid is None or os.waitpid(self.pid, os.WNOHANG)[0] == 0:
            return False
        self.pid = None
        self.close_pipes()
        self.start()
        return True

    def close(self):
        """Ends the process and gives the port back."""
        self.listener.close()
        self.close_pipes()
        if self.pid is None:
            return
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
            except ChildProcessError:
                break
            time.sleep(0.02)
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.pid = None

    def close_pipes(self):
        for descriptor in (self.lifeline, self.reports):
            if descriptor is not None:
                os.close(descriptor)
        self.lifeline = self.reports = None


def serve_links(listener, plan, context, lifeline, reports):
    """The process: takes connections until the lifeline's other end is gone."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides; when it is gone, so is the lifeline
    close_other_files(keep=(listener.fileno(), lifeline, reports))
    slots = threading.BoundedSemaphore(MAX_LINKS)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(listener, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if lifeline in ready:
            return
        local, _ = listener.accept()
        if not slots.acquire(blocking=False):
            local.close()
            continue
        threading.Thread(target=serve_link, args=(local, plan, context, reports, slots), daemon=True).start()


def close_other_files(keep):
    """Lets go of the terminal, the lock and all else that the parent had open."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 4096)
    edges = sorted(set(keep) | {2, limit})
    for low, high in zip(edges, edges[1:]):
        os.closerange(low + 1, high)


def serve_link(local, plan, context, reports, slots):
    """One connection: connects to the server, carries bytes, reports how it went."""
    remote = None
    try:
        local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        remote = open_tls(plan, context)
        relay(local, remote, lambda: report(reports, "up"))
        report(reports, "down", ENDED)
    except Refused as refused:
        report(reports, "refused", refused.why)
    except Stop as stop:
        report(reports, "down", stop.sentence)
        time.sleep(RETRY_PAUSE)
    except OSError as error:
        # In TLS 1.3 the server's word about our certificate comes with the first read.
        failure = tls_failure(error, plan)
        if isinstance(failure, Refused):
            report(reports, "refused", failure.why)
        else:
            report(reports, "down", failure.sentence)
    finally:
        for sock in (remote, local):
            if sock is not None:
                sock.close()
        slots.release()


def report(reports, link, why=""):
    try:
        os.write(reports, json.dumps({"link": link, "why": why}).encode() + b"\n")
    except OSError:
        pass  # the parent is gone, and so will this process be
