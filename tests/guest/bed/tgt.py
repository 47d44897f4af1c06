"""tgt on the host, a target that is not ours: shows that the bed itself works."""

import os
import socket
import subprocess
import time

IQN = "iqn.2026-11.example:bed"
INITIATOR = ("bed-initiator", "initiatorsecret1")
TARGET = ("bed-target", "targetsecret0001")


class Tgt:
    """Serves images read-only as LUN 1, 2, … with mutual CHAP on a loopback port."""

    def __init__(self, folder, port, images):
        folder.mkdir()
        # tgtd may open a second control socket beside another one of this machine.
        self.environment = dict(os.environ, TGT_IPC_SOCKET=str(folder / "tgt"))
        self.process = subprocess.Popen(
            ["tgtd", "--foreground", "--iscsi", f"portal=127.0.0.1:{port}"],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            self._configure(images)
        except Exception:
            self.kill()
            raise

    def _configure(self, images):
        self._admin("target", "new", "--tid", "1", "-T", IQN)
        for lun, image in enumerate(images, start=1):
            unit = ("--tid", "1", "--lun", str(lun))
            self._admin("logicalunit", "new", *unit, "-b", str(image))
            self._admin("logicalunit", "update", *unit, "--params", "readonly=1")
        self._admin("target", "bind", "--tid", "1", "-I", "ALL")
        for (user, secret), direction in ((INITIATOR, ()), (TARGET, ("--outgoing",))):
            self._admin("account", "new", "--user", user, "--password", secret)
            self._admin("account", "bind", "--tid", "1", "--user", user, *direction)

    def _admin(self, mode, operation, *words):
        command = ["tgtadm", "--lld", "iscsi", "--mode", mode, "--op", operation, *words]
        subprocess.run(command, env=self.environment, check=True, timeout=10)

    def kill(self):
        self.process.kill()
        self.process.wait()


def _wait_for(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
