"""open-iscsi in the guest, by a node record as an administrator makes one by hand."""

import hashlib
import shlex
import time

from bed.server import HOST_SEEN_FROM_GUEST

# Exit statuses of iscsiadm(8).
AUTHENTICATION_FAILED = 24
FATAL = 19

# Everything is emulated, on a machine that may be busy.
LOGIN_LIMIT_SECONDS = 120
READ_LIMIT_SECONDS = 300
STATE_LIMIT_SECONDS = 300

# What the keys of a record begin with that say who proves to be whom.
AUTH = "node.session.auth"


class Initiator:
    """One node record: a target at one portal of the host, with a bundle's credentials."""

    def __init__(self, shell, iqn, port, host):
        self.shell = shell
        self.iqn = iqn
        self.node = f"iscsiadm -m node -T {iqn} -p {host}:{port}"
        shell.sh(f"{self.node} -o new")
        self.set({"node.conn[0].timeo.login_timeout": "30"})

    @classmethod
    def of(cls, case, bundle, port, host=HOST_SEEN_FROM_GUEST):
        """With mutual CHAP; taken away when the case closes."""
        initiator = cls(case.shell, bundle.iqn, port, host)
        case.afterwards(initiator.forget)
        initiator.set(credentials(AUTH, bundle.json["initiator"], bundle.json["target"]))
        return initiator

    def set(self, settings):
        """Changes the record: name -> value."""
        commands = [
            f"{self.node} -o update -n '{name}' -v {shlex.quote(value)}"
            for name, value in settings.items()
        ]
        self.shell.sh("\n".join(commands))

    def try_login(self, limit=LOGIN_LIMIT_SECONDS):
        """What `iscsiadm --login` ended with and said."""
        return self.shell.run("sh", "-c", f"{self.node} --login", limit=limit, env={"LC_ALL": "C"})

    def login(self):
        done = self.try_login()
        assert done.status == 0, f"the login ended with {done.status}:\n{done.text}"
        self.shell.sh("udevadm settle --timeout=120", limit=150)

    def logout(self, limit=LOGIN_LIMIT_SECONDS):
        self.shell.sh(f"{self.node} --logout", limit=limit)

    def forget(self):
        """Logs out, if it is logged in, and deletes the record."""
        self.shell.run("sh", "-c", f"{self.node} --logout", limit=LOGIN_LIMIT_SECONDS)
        self.shell.sh(f"{self.node} -o delete")

    def session(self):
        """The kernel's name for the session, such as session3."""
        found = self.shell.sh(
            f"cd /sys/class/iscsi_session; grep -lx '{self.iqn}' */targetname || true"
        ).split()
        assert len(found) == 1, f"sessions with {self.iqn}: {found}"
        return found[0].partition("/")[0]

    def settled(self, *names):
        """What the kernel says of session and connection: attribute -> value."""
        number = self.session().removeprefix("session")
        both = (
            f"/sys/class/iscsi_session/session{number}",
            f"/sys/class/iscsi_connection/connection{number}:0",
        )
        reads = [f"cat {both[0]}/{name} 2>/dev/null || cat {both[1]}/{name}" for name in names]
        values = self.shell.sh("\n".join(reads)).splitlines()
        return dict(zip(names, values, strict=True))

    def disks(self):
        """LUN -> device."""
        lines = self.shell.sh(
            f"cd /sys/class/iscsi_session/{self.session()}/device; "
            "for path in target*/*:*:*:*/block/*; do echo $path; done"
        )
        found = {}
        for path in lines.split():
            _, address, _, name = path.split("/")
            found[int(address.rpartition(":")[2])] = f"/dev/{name}"
        return found

    def wait_for_state(self, state):
        """Waits until the kernel's session is in this state: LOGGED_IN, FAILED or FREE."""
        path = f"/sys/class/iscsi_session/{self.session()}/state"
        deadline = time.monotonic() + STATE_LIMIT_SECONDS
        while (found := self.shell.sh(f"cat {path}").strip()) != state:
            assert time.monotonic() < deadline, f"the session stays {found} instead of {state}"
            time.sleep(0.2)

    def sha256(self, device):
        """The digest of the whole disk, past the page cache."""
        return self.read(device).end_well()

    def read(self, device, piece="1M"):
        return Reading(self.shell, device, piece)


class Reading:
    """A read of a whole disk, past the page cache, that goes on beside the scenario."""

    def __init__(self, shell, device, piece):
        self.shell = shell
        self.sectors = f"awk '{{print $3}}' /sys/block/{device.removeprefix('/dev/')}/stat"
        self.before = int(shell.sh(self.sectors))
        command = f"dd if={device} bs={piece} iflag=direct status=none | sha256sum"
        self.running = shell.spawn("bash", "-o", "pipefail", "-c", command, close_input=True)

    def bytes_read(self):
        """What the disk has delivered since."""
        return (int(self.shell.sh(self.sectors)) - self.before) * 512

    def wait_until_read(self, count):
        deadline = time.monotonic() + READ_LIMIT_SECONDS
        while self.bytes_read() < count:
            assert self.running.running(), f"the read ended early: {self.running.text()}"
            assert time.monotonic() < deadline, f"{count} bytes were not read"
        assert self.running.running(), "the read was over before it could be disturbed"

    def end(self):
        return self.running.end(READ_LIMIT_SECONDS)

    def end_well(self):
        done = self.end()
        assert done.status == 0, f"reading ended with {done.status}:\n{done.text}"
        return done.stdout.split()[0]


def credentials(prefix, initiator, target):
    """Mutual CHAP as settings of a record."""
    return {
        f"{prefix}.authmethod": "CHAP",
        f"{prefix}.username": initiator["user"],
        f"{prefix}.password": initiator["secret"],
        f"{prefix}.username_in": target["user"],
        f"{prefix}.password_in": target["secret"],
    }


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
