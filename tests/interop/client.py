"""`itemlift bench` as a client: grants for its sessions, a run, what it measured."""

import contextlib
import json
import os
import subprocess
import threading

# MAX_NEXUSES of the target: more sessions are spread over more grants.
SESSIONS_PER_GRANT = 256
# What a run may take beside its reading: logins and last answers.
SPARE_SECONDS = 120


def grants(server, sessions, each=SESSIONS_PER_GRANT):
    """Bundles for so many sessions; a file's name is its grant's."""
    bundles = []
    for _ in range(-(-sessions // each)):
        grant = server.create_grant()["grant"]
        bundles.append(server.bundle_file.rename(server.folder / f"{grant}.json"))
    return bundles


def port(server, plain):
    return server.plain_port if plain else server.tls_port


@contextlib.contextmanager
def bench(server, bundles, plain, *flags):
    """Starts `itemlift bench`; kills what is left of it."""
    command = [server.binary, "bench", "--format=json", *flags]
    command += [f"--bundle={bundle}" for bundle in bundles]
    if plain:
        command.append(f"--plain=127.0.0.1:{server.plain_port}")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([str(part) for part in command], **pipes, text=True) as process:
        try:
            yield Run(process)
        finally:
            if process.returncode is None:
                process.kill()


class Run:
    """A running bench."""

    def __init__(self, process):
        self.process, self.cpu = process, None

    def wait_until_logged_in(self):
        line = self.process.stderr.readline()
        if "logged in" not in line:
            raise RuntimeError(f"itemlift bench: {line}{self.process.stderr.read()}")

    def report(self, seconds):
        """Waits for the end; gives what it measured, errors included: status 1 may be right."""
        killer = threading.Timer(seconds, self.process.kill)
        killer.start()
        try:
            out, err = self.process.stdout.read(), self.process.stderr.read()
            _, status, used = os.wait4(self.process.pid, 0)
        finally:
            killer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = used.ru_utime + used.ru_stime
        if not out:
            raise RuntimeError(f"itemlift bench, status {self.process.returncode}: {err}")
        return json.loads(out)
