"""What a scenario does in the guest: run a program, type into one, write and read files."""

import base64
from dataclasses import dataclass

from bed.port import GuestError, encoded

SHORT_SECONDS = 60


@dataclass
class Ended:
    """A program that ended: exit status, text, seconds it took in the guest.

    Marks: (seconds since its start, text that came then).
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    marks: list

    @classmethod
    def of(cls, answer):
        facts = ("status", "stdout", "stderr", "seconds", "marks")
        return cls(*(answer[fact] for fact in facts))

    @property
    def text(self):
        return self.stdout + self.stderr


class Shell:
    def __init__(self, port):
        self.port = port

    def run(self, *argv, stdin=b"", limit=SHORT_SECONDS, **options):
        """Runs to the end, whatever the status. Options: cwd, env, user, terminal."""
        request = {
            "do": "run",
            "argv": list(argv),
            "stdin": encoded(stdin),
            "timeout": limit,
            **options,
        }
        answer = self.port.ask(request, limit)
        if answer.get("timed_out"):
            raise TimeoutError(
                f"{argv[0]} did not end within {limit} s:\n{answer['stdout']}{answer['stderr']}"
            )
        return Ended.of(answer)

    def must(self, *argv, **options):
        """Runs a tool of the test itself: its failure is no finding about the product."""
        ended = self.run(*argv, **options)
        if ended.status != 0:
            raise GuestError(f"{' '.join(argv)[:300]}: status {ended.status}\n{ended.text}")
        return ended.stdout

    def sh(self, script, **options):
        return self.must("sh", "-euc", script, **options)

    def spawn(self, *argv, stdin=b"", close_input=False, **options):
        request = {
            "do": "spawn",
            "argv": list(argv),
            "stdin": encoded(stdin),
            "close_input": close_input,
            **options,
        }
        return Running(self.port, self.port.ask(request)["pid"])

    def write(self, path, data, mode=0o644):
        data = data if isinstance(data, bytes) else data.encode()
        self.port.ask(
            {"do": "write", "path": path, "data": encoded(data), "mode": mode}, SHORT_SECONDS
        )

    def read(self, path):
        return base64.b64decode(self.port.ask({"do": "read", "path": path}, SHORT_SECONDS)["data"])


class Running:
    """A program that goes on in the guest, on pipes or on a terminal of its own."""

    def __init__(self, port, pid):
        self.port = port
        self.pid = pid

    def type(self, text):
        self.port.ask({"do": "send", "pid": self.pid, "data": encoded(text)})

    def signal(self, number, group=False):
        """Group: to it and its children, as a terminal does for Ctrl-C."""
        self.port.ask({"do": "signal", "pid": self.pid, "signal": int(number), "group": group})

    def state(self, until=None, limit=0, start=0):
        return self.port.ask(
            {"do": "state", "pid": self.pid, "until": until, "timeout": limit, "from": start}, limit
        )

    def text(self):
        state = self.state()
        return state["stdout"] + state["stderr"]

    def running(self):
        return self.state()["status"] is None

    def wait_for(self, words, limit=SHORT_SECONDS):
        """Waits until its output holds the words."""
        state = self.state(until=words, limit=limit)
        text = state["stdout"] + state["stderr"]
        if not state["found"]:
            raise TimeoutError(
                f"{words!r} was not printed within {limit} s (status {state['status']}):\n{text}"
            )
        return text

    def end(self, limit=SHORT_SECONDS):
        """Waits until it has ended by itself."""
        state = self.state(limit=limit)
        if state["status"] is None:
            raise TimeoutError(f"did not end within {limit} s:\n{state['stdout']}{state['stderr']}")
        return Ended.of(state)
