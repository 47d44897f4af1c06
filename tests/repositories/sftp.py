"""SFTP by OpenSSH, over folders of this machine.

restic and itemlift start `ssh`. What they find is a script that comes before that in the
path: it knows the server's key, and nothing of the user's own settings and known hosts.
"""

import contextlib
import getpass
import os
import shutil
from functools import partial
from pathlib import Path

import openssh
from daemon import daemon, listens, must
from server import free_port

SSH = """\
#!/bin/sh
exec {ssh} -F /dev/null -i '{folder}/user' -o IdentitiesOnly=yes -o HostKeyAlias=bed \\
  -o UserKnownHostsFile='{folder}/known' -o GlobalKnownHostsFile=/dev/null "$@"
"""


class Sftp:
    """`with Sftp(folder) as store:` lets in the user of this process by one key."""

    name = "sftp"

    def __init__(self, folder):
        self.folder = Path(folder) / "sftp"
        self.port = free_port()
        self.user = getpass.getuser()

    def __enter__(self):
        (self.folder / "kept").mkdir(parents=True)
        (self.folder / "state").mkdir()
        for name in ("host", "user"):
            words = ["-q", "-t", "ed25519", "-N", "", "-f", self.folder / name]
            must(["ssh-keygen", *words])
        shutil.copyfile(self.folder / "user.pub", self.folder / "authorized")
        (self.folder / "known").write_text(f"bed {(self.folder / 'host.pub').read_text()}")
        self.put_ssh_before()
        command = openssh.command(self.folder, self.port)
        ready = partial(listens, self.port)
        with contextlib.ExitStack() as stack:
            stack.enter_context(daemon("sftp", command, self.folder, ready=ready))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def put_ssh_before(self):
        programs = self.folder / "bin"
        programs.mkdir()
        script = programs / "ssh"
        script.write_text(SSH.format(ssh=shutil.which("ssh"), folder=self.folder))
        script.chmod(0o755)
        self.path = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            # Where connections are kept that several sessions share.
            "XDG_STATE_HOME": str(self.folder / "state"),
        }

    def left(self):
        """What is there of connections: processes of `ssh` that use this key, and their sockets."""
        key = str(self.folder / "user").encode()
        found = [
            f"process {entry.parent.name}"
            for entry in Path("/proc").glob("[0-9]*/cmdline")
            if key in words_of(entry)
        ]
        kept = (self.folder / "state").rglob("*")
        return found + [str(path) for path in kept if path.is_socket()]

    def url(self, name, port=None):
        folder = self.folder / "kept" / name
        return f"sftp://{self.user}@127.0.0.1:{port or self.port}/{folder}"

    def restic(self, name):
        return self.url(name), self.path

    def source(self, name, port=None):
        return {"repository": self.url(name, port)}


def words_of(cmdline):
    """A process's arguments; none if it has ended meanwhile."""
    try:
        return cmdline.read_bytes().split(b"\0")
    except OSError:
        return []
