"""The host's end of the agent port: requests by id, programs as objects."""

import base64
import json
import socket
import threading
import time

# Added to the time limit of a request: the agent itself answers when the limit is over.
GRACE_SECONDS = 30


class GuestError(Exception):
    """The guest or its agent did not do what was asked; nothing about the product."""


class AgentPort:
    def __init__(self, path, alive):
        self.alive = alive
        self.answers = {}
        self.changed = threading.Condition()
        self.writing = threading.Lock()
        self.last_id = 0
        self.socket = self._connect(path)
        threading.Thread(target=self._receive, daemon=True).start()

    def _connect(self, path):
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and self.alive():
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
                return connection
            except OSError:
                connection.close()
                time.sleep(0.02)
        raise GuestError("QEMU ended or opened no agent port")

    def greet(self, limit):
        """Waits for the first sign of life; QEMU keeps what is sent before the port is open."""
        self.ask({"do": "hello"}, limit)

    def post(self, request):
        with self.writing:
            self.last_id += 1
            request["id"] = self.last_id
            self.socket.sendall(json.dumps(request).encode() + b"\n")
        return request["id"]

    def ask(self, request, limit=0):
        number = self.post(request)
        deadline = time.monotonic() + limit + GRACE_SECONDS
        with self.changed:
            while number not in self.answers:
                if not self.alive():
                    raise GuestError("QEMU ended")
                if time.monotonic() > deadline:
                    raise GuestError(
                        f"no answer to {request['do']} within {limit + GRACE_SECONDS:.0f} s"
                    )
                self.changed.wait(0.5)
            answer = self.answers.pop(number)
        if "error" in answer:
            raise GuestError(f"{request['do']}: {answer['error']}")
        return answer

    def _receive(self):
        pending = b""
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                return
            pending += data
            *lines, pending = pending.split(b"\n")
            with self.changed:
                for line in lines:
                    answer = json.loads(line)
                    self.answers[answer["id"]] = answer
                self.changed.notify_all()

    def close(self):
        self.socket.close()


def encoded(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()
