"""`itemlift serve` with a repository as one source and a folder of images as the other."""

import contextlib
import json
import subprocess
import threading
import time
from pathlib import Path

from daemon import environment_with
from server import Serving

from initiator import Session

# A VM whose disk has nothing to do with the repository.
BESIDE = "beside"
BESIDE_BYTES = 16 << 20
BESIDE_READ = 128 << 10
# What a store holds that is far, busy, or was away is known within this time.
FOUND_OUT_SECONDS = 30


class Served(Serving):
    """`with Served(bed, port) as server:` reads the repository by way of a port, or of none."""

    def __init__(self, bed, port=None, repository=None, ca=None):
        self.bed, self.repository = bed, repository or bed.repository
        store = self.repository.store
        more = {"port": port} if port else {}
        if ca:
            more["ca"] = str(ca)
        table = store.source(self.repository.name, **more)
        # As all programs do that trust what the system trusts.
        trusted = {"SSL_CERT_FILE": str(ca)} if ca else {}
        self.environment = environment_with({**(store.path or {}), **trusted})
        password = str(self.repository.password_file)
        table = {"kind": "restic", "password_file": password, **table}
        images = {"kind": "images", "path": str(bed.beside)}
        super().__init__(in_toml(table) + in_toml(images), bed.binary)

    def session(self, bundle, lun=0):
        return Session(f"127.0.0.1:{self.plain_port}", bundle, lun)

    def grant_at_last(self, vm, point="latest"):
        """A grant's bundle, also where the server has not found out yet what a store holds."""
        until = time.monotonic() + FOUND_OUT_SECONDS
        while True:
            try:
                return self.create_grant(vm, point)
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def points(self, vm):
        words = ["point", "list", "--state", self.state, "--vm", vm, "--format", "json"]
        return json.loads(self.run(*words))

    def outcome(self, *words):
        """Everything that a command says, whatever its status."""
        command = [str(word) for word in (self.binary, *words)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=self.environment
        )
        return done.stdout + done.stderr

    def log_text(self):
        self.log.flush()
        return (self.folder / "serve.log").read_text(errors="replace")

    @contextlib.contextmanager
    def reading_beside(self):
        """Reads the other source's disk all the while; gives the seconds that each read took."""
        bundle = self.create_grant(BESIDE)
        content = next(Path(self.bed.beside).rglob("disk0.raw")).read_bytes()
        seconds, over, failures = [], threading.Event(), []

        def read():
            try:
                with self.session(bundle) as session:
                    while not over.is_set():
                        at = len(seconds) * BESIDE_READ % len(content)
                        answer = session.read(at, BESIDE_READ)
                        if answer.data != content[at : at + BESIDE_READ]:
                            raise AssertionError(f"the disk beside: wrong at {at}: {answer.sense}")
                        seconds.append(answer.seconds)
                        over.wait(0.01)
            except Exception as failure:
                failures.append(failure)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while not seconds and not failures and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield seconds
        finally:
            over.set()
            thread.join()
        if failures:
            raise failures[0]


def in_toml(table):
    lines = ["[[source]]"]
    for name, value in table.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{key} = {json.dumps(part)}" for key, part in value.items())
            lines.append(f"{name} = {{ {inner} }}")
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"
