"""Runs what the host asks for: JSON requests by line on a virtio port, answered by their id."""

import base64
import fcntl
import glob
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time

PORT_NAME = "agent"
TERMINAL_ROWS, TERMINAL_COLUMNS = 40, 120

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "xterm",
}


class Program:
    """A program that goes on while other requests are served; its output is kept."""

    def __init__(self, request):
        # When which output came: (seconds since the start, text).
        self.marks = []
        self.output = bytearray()
        self.errors = bytearray()
        self.started = time.monotonic()
        self.ended = None
        self.terminal = bool(request.get("terminal"))
        if self.terminal:
            self._start_on_terminal(request)
        else:
            self._start_on_pipes(request)
        threading.Thread(target=self._collect, daemon=True).start()

    def _start_on_terminal(self, request):
        ours, theirs = pty.openpty()
        fcntl.ioctl(
            theirs, termios.TIOCSWINSZ, struct.pack("HHHH", TERMINAL_ROWS, TERMINAL_COLUMNS, 0, 0)
        )

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            request["argv"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=take_terminal,
            **options(request),
        )
        os.close(theirs)
        self.streams = {ours: self.output}
        self.input = ours

    def _start_on_pipes(self, request):
        self.process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options(request),
        )
        self.streams = {
            self.process.stdout.fileno(): self.output,
            self.process.stderr.fileno(): self.errors,
        }
        self.input = self.process.stdin.fileno()

    def _collect(self):
        # A daemon left behind may hold the pipes open for ever, so the end of the program
        # counts as the end of its output once nothing more is waiting.
        open_streams = dict(self.streams)
        while open_streams:
            # Asked first: what it writes before it ends is then seen to be waiting.
            ended = self.process.poll() is not None
            ready, _, _ = select.select(list(open_streams), [], [], 0.05)
            for stream in ready:
                try:
                    data = os.read(stream, 65536)
                except OSError:
                    data = b""
                if data:
                    open_streams[stream].extend(data)
                    self.marks.append((time.monotonic() - self.started, text(data)))
                else:
                    del open_streams[stream]
            if not ready and ended:
                break
        self.process.wait()
        self.ended = time.monotonic()

    def send(self, data):
        try:
            while data:
                data = data[os.write(self.input, data) :]
        except BrokenPipeError:
            # It ended without reading all: its exit status tells the rest.
            pass

    def close_input(self):
        if not self.terminal:
            self.process.stdin.close()

    def state(self):
        return {
            "pid": self.process.pid,
            "status": self.process.returncode if self.ended else None,
            "stdout": text(self.output),
            "stderr": text(self.errors),
            "marks": self.marks,
            "seconds": (self.ended or time.monotonic()) - self.started,
        }


def options(request):
    environment = dict(ENVIRONMENT)
    environment.update(request.get("env") or {})
    chosen = {"cwd": request.get("cwd") or "/root", "env": environment}
    if request.get("user"):
        chosen.update(user=request["user"], group="nogroup", extra_groups=[])
    return chosen


def text(data):
    return bytes(data).decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()


class Agent:
    def __init__(self, port):
        self.port = port
        self.programs = {}
        self.writing = threading.Lock()

    def serve(self):
        pending = b""
        while True:
            data = os.read(self.port, 65536)
            if not data:
                # The host is not connected (yet).
                time.sleep(0.02)
                continue
            pending += data
            *lines, pending = pending.split(b"\n")
            for line in lines:
                request = json.loads(line)
                if request["do"] == "power_off":
                    return
                threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request):
        try:
            answer = getattr(self, "do_" + request["do"])(request)
        except Exception as error:  # the host shall see it, whatever it is
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["id"] = request["id"]
        line = json.dumps(answer).encode() + b"\n"
        with self.writing:
            while line:
                line = line[os.write(self.port, line) :]

    def do_hello(self, request):
        with open("/proc/uptime") as uptime:
            return {"uptime": float(uptime.read().split()[0])}

    def do_run(self, request):
        program = Program(request)
        program.send(base64.b64decode(request.get("stdin", "")))
        program.close_input()
        return self._wait(program, request["timeout"])

    def do_spawn(self, request):
        program = Program(request)
        program.send(base64.b64decode(request.get("stdin", "")))
        if request.get("close_input"):
            program.close_input()
        self.programs[program.process.pid] = program
        return program.state()

    def do_send(self, request):
        self.programs[request["pid"]].send(base64.b64decode(request["data"]))
        return {}

    def do_state(self, request):
        """Waits until the program ended, its output holds `until`, or the time is over."""
        program = self.programs[request["pid"]]
        until = request.get("until")
        deadline = time.monotonic() + request.get("timeout", 0)
        while True:
            seen = text(program.output) + text(program.errors)
            found = until is not None and until in seen[request.get("from", 0) :]
            if found or program.ended or time.monotonic() >= deadline:
                return dict(program.state(), found=found)
            time.sleep(0.02)

    def do_signal(self, request):
        program = self.programs[request["pid"]]
        if program.ended is None:
            target = os.killpg if request.get("group") else os.kill
            target(program.process.pid, request["signal"])
        return {}

    def do_write(self, request):
        with open(request["path"], "wb") as file:
            file.write(base64.b64decode(request["data"]))
        os.chmod(request["path"], request["mode"])
        return {}

    def do_read(self, request):
        with open(request["path"], "rb") as file:
            return {"data": base64.b64encode(file.read()).decode()}

    def _wait(self, program, timeout):
        deadline = time.monotonic() + timeout
        while program.ended is None:
            if time.monotonic() > deadline:
                os.killpg(program.process.pid, signal.SIGKILL)
                return dict(program.state(), timed_out=True)
            time.sleep(0.01)
        return program.state()


def open_port():
    """Looks the device up by its port's name; it may still be coming up."""
    while True:
        for name in glob.glob("/sys/class/virtio-ports/*/name"):
            with open(name) as file:
                if file.read().strip() == PORT_NAME:
                    return os.open("/dev/" + name.split("/")[-2], os.O_RDWR)
        time.sleep(0.02)


if __name__ == "__main__":
    Agent(open_port()).serve()
