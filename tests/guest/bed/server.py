"""itemlift on the host: state directory, a source of prepared disks, `serve` on loopback."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bed.cache import REPOSITORY

# How the guest reaches the host's loopback through QEMU's user network.
HOST_SEEN_FROM_GUEST = "10.0.2.2"

START_LIMIT_SECONDS = 20
COMMAND_LIMIT_SECONDS = 30
EARLIER_POINT, POINT = "2026-11-19T02-00-00Z", "2026-11-20T02-00-00Z"

# Ports of servers that are down for a while must not go to others.
_handed_out, _handing_out = set(), threading.Lock()


class ServerError(Exception):
    """The server or its command line did not do what the scenario needed."""


@dataclass(frozen=True)
class Grant:
    id: str
    password: str
    file: Path
    iqn: str
    expires_at: str


@dataclass(frozen=True)
class Bundle:
    """A grant's connection details, as people with an initiator of their own get them."""

    file: Path
    json: dict

    @property
    def id(self):
        return self.json["grant"]

    @property
    def iqn(self):
        return self.json["iqn"]


def binary():
    """The program under test: $ITEMLIFT, or the newest build of this work tree."""
    if os.environ.get("ITEMLIFT"):
        return Path(os.environ["ITEMLIFT"])
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [
        path for path in (target / "release/itemlift", target / "debug/itemlift") if path.exists()
    ]
    if not built:
        raise SystemExit(
            "no itemlift binary: run `cargo build --release` first, or name one by $ITEMLIFT"
        )
    return max(built, key=lambda path: path.stat().st_mtime)


class Server:
    """The guest reaches it as `seen_as`, it listens at `loopback`: both may be set before init."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state"
        self.source = folder / "source"
        self.port, self.plain_port = free_port(), free_port()
        self.seen_as = HOST_SEEN_FROM_GUEST
        self.loopback = "127.0.0.1"
        self.process = None
        self.source.mkdir(parents=True)

    def add_point(self, vm, files, point=POINT, toml=None):
        """Files: (name, image). Hard links, so that nothing is copied."""
        folder = self.source / vm / point
        folder.mkdir(parents=True)
        for name, image in files:
            os.link(image, folder / name)
        if toml:
            (folder / "point.toml").write_text(toml)

    def init(self, more=""):
        """`more`: text for the end of the configuration file, its tables."""
        seen_as = self.seen_as
        self.itemlift("init", "--host", seen_as, "--host", "127.0.0.1", "--site", "test-bed")
        (self.state / "itemlift.toml").write_text(
            f'site = "test-bed"\n'
            f'listen = ["{bracketed(self.loopback)}:{self.port}"]\n'
            f'advertise = "{bracketed(seen_as)}:{self.port}"\n'
            f'plain = "127.0.0.1:{self.plain_port}"\n\n'
            f'[[source]]\nkind = "images"\npath = "{self.source}"\n{more}'
        )

    def start(self):
        with open(self.folder / "serve.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(binary()), "serve", "--state", str(self.state)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while True:
            try:
                socket.create_connection((self.loopback, self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise ServerError(f"`itemlift serve` does not listen:\n{self.log()}") from None
                time.sleep(0.02)

    def kill(self):
        """As a crash or a power failure would."""
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def _end(self, number):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ServerError("`itemlift serve` did not end within 15 s of SIGTERM") from None

    def itemlift(self, *words):
        command = [str(binary()), *words, "--state", str(self.state)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_LIMIT_SECONDS
        )
        if done.returncode != 0:
            shown = " ".join(command[1:])
            raise ServerError(
                f"`itemlift {shown}` ended with {done.returncode}:\n{done.stderr}{done.stdout}"
            )
        return done.stdout

    def grant(self, vm, lifetime=None):
        out = self.folder / "scripts"
        out.mkdir(exist_ok=True)
        words = ["grant", "create", "--vm", vm, "--point", "latest", "--os", "linux"]
        words += ["--out", str(out), "--format", "json"]
        if lifetime:
            words += ["--lifetime", lifetime]
        made = json.loads(self.itemlift(*words))
        return Grant(
            made["grant"], made["password"], Path(made["file"]), made["iqn"], made["expires_at"]
        )

    def bundle(self, vm):
        """A grant for an initiator of one's own; its bundle's file."""
        words = ["grant", "create", "--vm", vm, "--os", "bundle", "--format", "json"]
        made = json.loads(self.itemlift(*words, "--out", str(self.folder)))
        return Bundle(Path(made["file"]), json.loads(Path(made["file"]).read_text()))

    def sessions(self):
        return json.loads(self.itemlift("session", "list", "--format", "json"))

    def audit(self, event, bundle=None):
        """The audit log's lines of this event, the oldest first."""
        lines = map(json.loads, (self.state / "audit.log").read_text().splitlines())
        return [
            line
            for line in lines
            if line["event"] == event and (bundle is None or line.get("grant") == bundle.id)
        ]

    def revoke(self, grant):
        self.itemlift("grant", "revoke", grant.id)

    def log(self):
        path = self.folder / "serve.log"
        return (
            "\n".join(path.read_text(errors="replace").splitlines()[-30:]) if path.exists() else ""
        )


def bracketed(host):
    return f"[{host}]" if ":" in host else host


def free_port():
    """A loopback port that nobody listens on, another one each time."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with _handing_out:
            if port not in _handed_out:
                _handed_out.add(port)
                return port
