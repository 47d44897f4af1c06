"""SFTP as `rclone serve sftp` speaks it, over a folder of this machine.

itemlift starts `ssh`. What it finds is a script that comes before that in the path: it
knows the server's key, and nothing of the user's own configuration and known hosts.
restic works on the folder, because rclone ends a session without the status that it wants.
"""

import contextlib
import os
import shutil
from functools import partial
from pathlib import Path

from daemon import daemon, listens, must
from server import free_port

USER = "bed"
SSH = """\
#!/bin/sh
exec {ssh} -F /dev/null -i '{folder}/user' -o IdentitiesOnly=yes -o HostKeyAlias={user} \\
  -o UserKnownHostsFile='{folder}/known' -o GlobalKnownHostsFile=/dev/null "$@"
"""


class Sftp:
    """`with Sftp(folder) as store:` lets in one user by one key."""

    name = "sftp"

    def __init__(self, folder):
        self.folder = Path(folder) / "sftp"
        self.port = free_port()

    def __enter__(self):
        kept = self.folder / "kept"
        kept.mkdir(parents=True)
        for name in ("host", "user"):
            words = ["-q", "-t", "ed25519", "-N", "", "-C", USER, "-f", self.folder / name]
            must(["ssh-keygen", *words])
        shutil.copyfile(self.folder / "user.pub", self.folder / "authorized")
        (self.folder / "known").write_text(f"{USER} {(self.folder / 'host.pub').read_text()}")
        self.put_ssh_before()
        command = ["rclone", "serve", "sftp", kept, "--addr", f"127.0.0.1:{self.port}"]
        command += ["--key", self.folder / "host", "--authorized-keys", self.folder / "authorized"]
        with contextlib.ExitStack() as stack:
            environment = {"RCLONE_CONFIG": "/dev/null"}
            ready = partial(listens, self.port)
            stack.enter_context(daemon("sftp", command, self.folder, environment, ready))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def put_ssh_before(self):
        programs = self.folder / "bin"
        programs.mkdir()
        script = programs / "ssh"
        script.write_text(SSH.format(ssh=shutil.which("ssh"), folder=self.folder, user=USER))
        script.chmod(0o755)
        self.path = {"PATH": f"{programs}:{os.environ['PATH']}"}

    def restic(self, name):
        return str(self.folder / "kept" / name), {}

    def source(self, name, port=None):
        return {"repository": f"sftp://{USER}@127.0.0.1:{port or self.port}//{name}"}
