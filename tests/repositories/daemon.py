"""A server process of the bed: started with a log of its own, ended by its id."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

END_SECONDS = 10
# What this machine's user has set for stores of their own.
STRANGE = ("AWS_", "AZURE_", "CEPH_", "RCLONE_", "RESTIC_", "RUSTIC_")


class BedError(Exception):
    """A part of the bed did not do what it was asked; nothing about the product."""


@contextlib.contextmanager
def daemon(name, command, folder, environment=None, ready=None, seconds=30):
    """Runs a command in the foreground until the block ends; `ready()` says when it serves."""
    log = Path(folder) / f"{name}.out"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder,
            env=environment_with(environment),
            start_new_session=True,
        )
    try:
        if ready:
            wait_until(ready, seconds, name, process, log)
        yield process
    finally:
        end(process)


def environment_with(more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(STRANGE)}
    return {**kept, **(more or {})}


def wait_until(ready, seconds, name, process, log):
    until = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise BedError(f"{name} ended with status {process.returncode}:\n{tail(log)}")
        if time.monotonic() > until:
            raise BedError(f"{name} does not serve after {seconds} s:\n{tail(log)}")
        time.sleep(0.05)


def end(process):
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log, lines=15):
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def listens(port):
    """Whether something takes connections on the loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def must(command, environment=None, folder=None, seconds=120, out=subprocess.PIPE):
    """Runs a command to its end and gives its standard output, if `out` does not take that."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        timeout=seconds,
        cwd=folder,
        env=environment_with(environment),
    )
    if done.returncode:
        shown = done.stderr.decode(errors="replace").strip()
        raise BedError(f"{command[0]} {command[1]} ended with {done.returncode}:\n{shown}")
    return (done.stdout or b"").decode()
