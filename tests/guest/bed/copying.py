"""A copy out of a mounted volume that is disturbed half way and has to go on, every byte right."""

import subprocess
import time

from bed.case import WORK
from bed.initiator import sha256_of
from bed.patterns import random_image

COPY = f"{WORK}/copy.bin"
FILE_BYTES = 96 << 20
# The copy has begun, and most of it is still to be read: the kernel reads ahead.
BEFORE_BYTES = 4 << 20
COPY_LIMIT_SECONDS = 300
NOTICE_LIMIT_SECONDS = 120


class Copying:
    """A disk with one large file, attached by the script in the foreground."""

    def __init__(self, case):
        self.case = case
        files = case.folder / "files"
        files.mkdir()
        self.digest = sha256_of(random_image(files / "large.bin", FILE_BYTES))
        image = case.folder / "disk0.raw"
        with open(image, "wb") as blank:
            blank.truncate(FILE_BYTES + (24 << 20))
        subprocess.run(
            ["mkfs.ext4", "-q", "-F", "-L", "LARGE", "-d", str(files), str(image)], check=True
        )
        self.server = case.serve_images([image])
        self.script = case.deliver(self.server.grant("web01"))
        self.running, report = self.script.stay()
        self.path = report.volume("LARGE")["path"] + "/large.bin"

    def goes_on(self, trouble):
        """Copies; the trouble begins in the middle and lasts until the kernel has noticed it."""
        shell = self.case.shell
        shell.sh(f"echo 3 >/proc/sys/vm/drop_caches; rm -f {COPY}")
        copying = shell.spawn("cp", self.path, COPY, close_input=True)
        shell.sh(
            f"until [ $(stat -c %s {COPY} 2>/dev/null || echo 0) -gt {BEFORE_BYTES} ]; do :; done\n"
            + trouble.begin
        )
        state = "cat /sys/class/iscsi_session/session*/state"
        shell.sh(f"until [ $({state}) = FAILED ]; do sleep 0.1; done", limit=NOTICE_LIMIT_SECONDS)
        reached = int(shell.sh(f"stat -c %s {COPY}"))
        assert copying.running(), f"{trouble.name}: {copying.text()}"
        assert reached < FILE_BYTES, f"{trouble.name}: nothing was left to copy"
        shell.sh(trouble.end)
        ended = time.monotonic()
        done = copying.end(COPY_LIMIT_SECONDS)
        assert done.status == 0, f"{trouble.name}: {done.text}"
        found = shell.must("sha256sum", COPY, limit=COPY_LIMIT_SECONDS).split()[0]
        assert found == self.digest, f"{trouble.name}: the copy is not what was backed up"
        self.case.say(
            f"{trouble.name} after {reached >> 20} MiB: the copy ended well, "
            f"{time.monotonic() - ended:.1f} s after the trouble"
        )

    def close(self):
        self.case.shell.must("rm", COPY)
        self.script.close()
        return self.running.end()
