"""restic's REST protocol, as `rclone serve restic` speaks it, over a folder of this machine."""

import contextlib
import secrets
from functools import partial
from pathlib import Path

from daemon import daemon, listens
from server import free_port

USER = "bed"


class Rest:
    """`with Rest(folder) as store:` asks for a name and a password."""

    name = "rest"
    # Programs that come before those of this machine.
    path = None

    def __init__(self, folder):
        self.folder = Path(folder) / "rest"
        self.port = free_port()
        self.password = secrets.token_hex(12)

    def __enter__(self):
        kept = self.folder / "kept"
        kept.mkdir(parents=True)
        command = ["rclone", "serve", "restic", kept, "--addr", f"127.0.0.1:{self.port}"]
        environment = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_USER": USER,
            "RCLONE_PASS": self.password,
        }
        with contextlib.ExitStack() as stack:
            ready = partial(listens, self.port)
            stack.enter_context(daemon("rest", command, self.folder, environment, ready))
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def url(self, name, port=None, scheme="http"):
        return f"rest:{scheme}://{USER}:{self.password}@127.0.0.1:{port or self.port}/{name}/"

    def restic(self, name):
        return self.url(name), {}

    def source(self, name, port=None, ca=None):
        if ca:
            return {"repository": self.url(name, port, "https"), "options": {"cacert": ca}}
        return {"repository": self.url(name, port)}
