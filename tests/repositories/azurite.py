"""Azurite, Microsoft's emulator of Azure Blob: from npm, kept under target/repositories.

Debian's restic knows only Azure's own host names, so it reaches Azurite through rclone,
which takes a URL with a shared access signature.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import urllib.parse
from functools import partial
from pathlib import Path

from daemon import BedError, daemon, listens, must
from server import ROOT, free_port

VERSION = "3.35.0"
INSTALLED = ROOT / "target/repositories" / f"azurite-{VERSION}"
ACCOUNT, CONTAINER = "bed", "backups"
# A version of the protocol that both rclone and Azurite speak.
SAS_VERSION = "2020-10-02"
INSTALL_SECONDS = 300


def install():
    """Azurite's program; installed first where it is not there yet."""
    package = INSTALLED / "node_modules/azurite/package.json"
    if not package.exists():
        unfinished = INSTALLED.with_suffix(".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        words = ["--prefix", unfinished, "--no-audit", "--no-fund", f"azurite@{VERSION}"]
        must(["npm", "install", *words], seconds=INSTALL_SECONDS)
        unfinished.rename(INSTALLED)
    if json.loads(package.read_text())["version"] != VERSION:
        raise BedError(f"{INSTALLED} does not hold azurite {VERSION}: remove it")
    return package.parent / "dist/src/blob/main.js"


class Azurite:
    """`with Azurite(folder) as store:` has an account with a key and an empty container."""

    name = "azure"
    # Programs that come before those of this machine.
    path = None

    def __init__(self, folder):
        self.folder = Path(folder) / "azurite"
        self.port = free_port()
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()

    def __enter__(self):
        self.folder.mkdir(parents=True)
        command = ["node", install(), "--blobHost", "127.0.0.1", "--blobPort", self.port]
        command += ["--inMemoryPersistence", "--disableTelemetry", "--silent"]
        with contextlib.ExitStack() as stack:
            environment = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}
            ready = partial(listens, self.port)
            stack.enter_context(daemon("azurite", command, self.folder, environment, ready))
            must(["rclone", "mkdir", f"bed:{CONTAINER}"], self.rclone_environment())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def endpoint(self, port=None, scheme="http"):
        return f"{scheme}://127.0.0.1:{port or self.port}/{ACCOUNT}"

    def shared_access(self):
        """An account's shared access signature, for everything in blobs."""
        fields = {
            "sp": "rwdlacup",
            "ss": "b",
            "srt": "sco",
            "st": "",
            "se": "2099-01-01T00:00:00Z",
            "sip": "",
            "spr": "https,http",
            "sv": SAS_VERSION,
        }
        text = "".join(f"{part}\n" for part in (ACCOUNT, *fields.values()))
        mac = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        given = {name: value for name, value in fields.items() if value}
        given["sig"] = base64.b64encode(mac.digest()).decode()
        return urllib.parse.urlencode(given)

    def rclone_environment(self):
        return {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_BED_TYPE": "azureblob",
            "RCLONE_CONFIG_BED_SAS_URL": f"{self.endpoint()}?{self.shared_access()}",
        }

    def restic(self, name):
        return f"rclone:bed:{CONTAINER}/{name}", self.rclone_environment()

    def source(self, name, port=None, ca=None):
        return {
            "repository": f"azure:{CONTAINER}:/{name}",
            "options": {
                "endpoint": self.endpoint(port, "https" if ca else "http"),
                "account_name": ACCOUNT,
                "account_key": self.key,
            },
        }
