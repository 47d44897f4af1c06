"""Ceph's S3: one monitor, one OSD that keeps its objects in memory, one radosgw.

Everything is in one folder and on loopback; an ordinary user can start it. It serves
after about three seconds, most of them the monitor's.
"""

import contextlib
import secrets
import urllib.error
import urllib.request
import uuid

from daemon import daemon, must
from server import free_port

BUCKET = "backups"
REGION = "us-east-1"
STORE_BYTES = 4 << 30

CONF = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}]
mon data = {folder}/mon
mon allow pool size one = true
mon data avail crit = 0
mon data avail warn = 0
auth allow insecure global id reclaim = false
keyring = {folder}/keyring
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = {folder}
log file = {folder}/$name.log
# The path of a socket may have some hundred characters, and the folder's is not ours to choose.
admin socket =
pid file =
# Everything that a client waits for at the start is a change of the monitor's map.
paxos propose interval = 0.05
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {store_bytes}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw run sync thread = false
"""

KEYS = {
    "mon.": ["mon", "allow *"],
    "client.admin": ["mon", "allow *", "osd", "allow *"],
    "client.rgw": ["mon", "allow rw", "osd", "allow rwx"],
    "osd.0": ["mon", "allow profile osd", "osd", "allow *"],
}


class Radosgw:
    """`with Radosgw(folder) as store:` has a user with keys and an empty bucket."""

    name = "s3"
    # Programs that come before those of this machine.
    path = None

    def __init__(self, folder):
        self.folder = folder / "radosgw"
        self.port = free_port()
        self.access_key, self.secret_key = f"BED{secrets.token_hex(8)}", secrets.token_hex(20)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for part in ("mon", "osd", "rgw"):
                (self.folder / part).mkdir(parents=True)
            self.fsid, self.mon_port = uuid.uuid4(), free_port()
            (self.folder / "ceph.conf").write_text(self.conf())
            self.make_keys()
            self.start(stack)
            self.make_user()
            self.rclone("mkdir", f"bed:{BUCKET}")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def conf(self):
        return CONF.format(
            fsid=self.fsid,
            mon_port=self.mon_port,
            folder=self.folder,
            store_bytes=STORE_BYTES,
            port=self.port,
        )

    def make_keys(self):
        self.ceph("ceph-authtool", "keyring", "--create-keyring")
        for name, capabilities in KEYS.items():
            words = ["--gen-key", "--name", name]
            for service, allowed in zip(capabilities[::2], capabilities[1::2], strict=True):
                words += ["--cap", service, allowed]
            self.ceph("ceph-authtool", "keyring", *words)

    def start(self, stack):
        monitor = f"[v2:127.0.0.1:{self.mon_port}]"
        words = ["--create", "--fsid", self.fsid, "--addv", "a", monitor, "monmap"]
        self.ceph("monmaptool", *words)
        mkfs = ["--mkfs", "--monmap", "monmap", "--keyring", "keyring"]
        self.ceph("ceph-mon", "--id", "a", *mkfs)
        stack.enter_context(self.daemon("ceph-mon", "--id", "a"))
        osd = uuid.uuid4()
        self.ceph("ceph", "osd", "new", osd)
        self.ceph("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", osd)
        stack.enter_context(self.daemon("ceph-osd", "--id", "0"))
        stack.enter_context(
            self.daemon("radosgw", "--name", "client.rgw", ready=self.answers, seconds=120)
        )

    def answers(self):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def make_user(self):
        words = ["user", "create", "--uid", "bed", "--display-name", "bed"]
        keys = ["--access-key", self.access_key, "--secret-key", self.secret_key]
        self.ceph("radosgw-admin", *words, *keys)

    def ceph(self, program, *words):
        # Ceph's programs look for their configuration before they look at anything else.
        environment = {"CEPH_CONF": str(self.folder / "ceph.conf")}
        return must([program, *words], environment, self.folder)

    def daemon(self, program, *words, **more):
        command = [program, "--conf", "ceph.conf", *words, "-f"]
        return daemon(program, command, self.folder, **more)

    def rclone(self, *words):
        return must(["rclone", *words], self.rclone_environment())

    def rclone_environment(self):
        return {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_BED_TYPE": "s3",
            "RCLONE_CONFIG_BED_PROVIDER": "Ceph",
            "RCLONE_CONFIG_BED_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "RCLONE_CONFIG_BED_ACCESS_KEY_ID": self.access_key,
            "RCLONE_CONFIG_BED_SECRET_ACCESS_KEY": self.secret_key,
        }

    def restic(self, name):
        """What restic calls a repository in the bucket, and the environment for it."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return f"s3:http://127.0.0.1:{self.port}/{BUCKET}/{name}", keys

    def source(self, name, port=None, ca=None):
        """The same for itemlift, by way of a proxy's port, over TLS if that proxy has a CA."""
        scheme = "https" if ca else "http"
        return {
            "repository": f"s3:{scheme}://127.0.0.1:{port or self.port}/{BUCKET}/{name}",
            "options": {
                "region": REGION,
                "access_key_id": self.access_key,
                "secret_access_key": self.secret_key,
                # Nothing from this machine's user or its cloud.
                "disable_config_load": True,
            },
        }
