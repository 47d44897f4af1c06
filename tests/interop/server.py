"""An itemlift server of its own, with one VM of one disk and a grant on it."""

import contextlib
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = ROOT / "target/release/itemlift"
READY_SECONDS = 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    """Returns when something listens on the loopback port; raises when process ends first."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port} after {READY_SECONDS} s")


class Serving:
    """`with Serving(sources) as server:` runs a server; `sources` is text of its configuration."""

    # Variables of the server and of every command; None: as they are here.
    environment = None

    def __init__(self, sources, binary=BINARY):
        self.binary, self.sources = binary, sources
        self.tls_port, self.plain_port = free_port(), free_port()
        self.grants = 0

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.state = self.folder / "state"
            self.log = stack.enter_context(open(self.folder / "serve.log", "w+"))
            self.run("init", "--state", self.state, "--host", "127.0.0.1")
            self.configure()
            started = time.monotonic()
            self.process = self.start("serve", "--state", self.state)
            stack.callback(self.stop, self.process)
            wait_for_port(self.tls_port, self.process)
            wait_for_port(self.plain_port, self.process)
            self.ready_seconds = time.monotonic() - started
            self.prepare()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def prepare(self):
        """What is done once the server answers."""

    def configure(self):
        (self.state / "itemlift.toml").write_text(
            f'site = "interop"\n'
            f'listen = ["127.0.0.1:{self.tls_port}"]\n'
            f'advertise = "127.0.0.1:{self.tls_port}"\n'
            f'plain = "127.0.0.1:{self.plain_port}"\n'
            f"{self.sources}"
        )

    def create_grant(self, vm="vm", point="latest"):
        """Creates a grant on a point of the VM; gives its bundle."""
        file = self.folder / f"bundle-{self.grants}.json"
        self.grants += 1
        self.run(
            *("grant", "create", "--state", self.state, "--vm", vm, "--point", point),
            *("--os", "bundle"),
            *("--out", file, "--format", "json"),
        )
        self.bundle_file = file
        return json.loads(file.read_text())

    def url(self, port, lun=0, bundle=None):
        """The URL by which libiscsi reaches a LUN with mutual CHAP."""
        bundle = bundle or self.bundle
        initiator, target = bundle["initiator"], bundle["target"]
        return (
            f"iscsi://{initiator['user']}%{initiator['secret']}@127.0.0.1:{port}"
            f"/{bundle['iqn']}/{lun}"
            f"?target_user={target['user']}&target_password={target['secret']}"
        )

    @contextlib.contextmanager
    def tunnel(self):
        """Runs `itemlift tunnel`; gives the loopback port it listens on."""
        port = free_port()
        process = self.start(
            "tunnel", "--bundle", self.bundle_file, "--listen", f"127.0.0.1:{port}"
        )
        try:
            wait_for_port(port, process)
            yield port
        finally:
            self.stop(process)

    def run(self, *arguments):
        done = subprocess.run(
            [self.binary, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
        )
        if done.returncode:
            raise RuntimeError(f"itemlift {arguments[0]}: {done.stderr.strip()}{self.tail()}")
        return done.stdout

    def start(self, *arguments):
        return subprocess.Popen(
            [self.binary, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=self.environment,
        )

    def tail(self):
        self.log.flush()
        lines = (self.folder / "serve.log").read_text().splitlines()[-20:]
        return "".join(f"\n  server: {line}" for line in lines)

    @staticmethod
    def stop(process):
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Server(Serving):
    """`with Server(images) as server:` serves the image files as the disks of VM `vm`."""

    def __init__(self, images, binary=BINARY):
        super().__init__("", binary)
        self.images = [Path(image) for image in images]

    def configure(self):
        point = self.folder / "source/vm/2026-11-20T02-00-00Z"
        point.mkdir(parents=True)
        for image in self.images:
            (point / image.name).hardlink_to(image)
        self.sources = f'[[source]]\nkind = "images"\npath = "{self.folder}/source"\n'
        super().configure()

    def prepare(self):
        self.bundle = self.create_grant()
