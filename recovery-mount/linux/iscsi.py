"""open-iscsi: a node record of our own, login, logout. The machine's iscsid.conf is never touched; no discovery."""

import re

from outcome import HOST_LACKS, UNREACHABLE, Refused, Stop

# Where distributions keep node records.
RECORD_FOLDERS = ("/etc/iscsi/nodes", "/var/lib/iscsi/nodes", "/var/lib/open-iscsi/nodes", "/etc/open-iscsi/nodes")
# What else open-iscsi makes beside them when it is used for the first time.
DATABASE_FOLDERS = ("nodes", "send_targets", "static", "isns", "slp", "ifaces", "fw")
TARGET_PREFIX = "iqn.2026-11.io.itemlift:"
# A comment to iscsid: tells a record that a script has made from one that somebody keeps for an initiator of their own.
MARK = "# made by an itemlift mount script, which deletes it when it is closed"
TOOL_TIMEOUT = 15
LOGIN_TIMEOUT = 75
LOGOUT_TIMEOUT = 20
# How long to ask again, as long as the asking takes no longer.
LOGOUT_PATIENCE = 15
# How long the kernel holds back reads while the connection is being made again; as long as we wait for a lost server.
REPLACEMENT_TIMEOUT = 300

# Strongest first, by iscsid's names; a version that knows none but MD5 has no such line in its records.
CHAP_ALGORITHMS = "SHA3-256,SHA256,SHA1,MD5"

# Exit statuses of iscsiadm(8).
SESSION_EXISTS = 15
AUTHENTICATION_FAILED = 24

SETTINGS = (
    ("node.startup", "manual"),
    ("node.conn[0].startup", "manual"),
    ("node.session.auth.authmethod", "CHAP"),
    ("node.session.nr_sessions", "1"),
    ("node.session.initial_login_retry_max", "2"),
    ("node.session.timeo.replacement_timeout", str(REPLACEMENT_TIMEOUT)),
    ("node.conn[0].timeo.login_timeout", "30"),
    ("node.conn[0].timeo.logout_timeout", "5"),
    # A machine under load answers late; 5 s, the default, has dropped busy sessions.
    ("node.conn[0].timeo.noop_out_interval", "10"),
    ("node.conn[0].timeo.noop_out_timeout", "30"),
)


class Target:
    """Our target behind the tunnel's portal, ADDRESS:PORT."""

    def __init__(self, host, iqn, portal):
        self.host = host
        self.iqn = iqn
        self.portal = portal

    def admin(self, operation, timeout=TOOL_TIMEOUT):
        return self.host.run(["iscsiadm", "-m", "node", "-T", self.iqn, "-p", self.portal] + operation, timeout)

    def make_record(self, secrets):
        """Makes the node record, with mutual CHAP. The secrets go into its file: arguments can be seen by all."""
        if foreign_record(self.host, self.iqn) is not None:
            raise Stop(HOST_LACKS, record_in_the_way(self.host, self.iqn) + ".")
        self.delete_record()
        result = self.admin(["-o", "new"])
        if result.status != 0:
            raise Stop(HOST_LACKS, "open-iscsi does not take a node record: {}.".format(last_line(result.err)))
        path = record_path(self.host, self.iqn)
        if path is None:
            places = ", ".join(RECORD_FOLDERS)
            raise Stop(HOST_LACKS, "Cannot find open-iscsi's node record in any of {}.".format(places))
        text = self.host.read(path) or ""
        settings = SETTINGS + (
            ("node.session.auth.username", secrets["initiator_user"]),
            ("node.session.auth.password", secrets["initiator_secret"]),
            ("node.session.auth.username_in", secrets["target_user"]),
            ("node.session.auth.password_in", secrets["target_secret"]),
        )
        if re.search(r"^node\.session\.auth\.chap_algs\b", text, re.MULTILINE):
            settings += (("node.session.auth.chap_algs", CHAP_ALGORITHMS),)
        self.host.write(path, marked(with_settings(text, settings)), 0o600)

    def login(self):
        """Logs in; raises Stop with the reason if it cannot be."""
        result = self.admin(["--login"], LOGIN_TIMEOUT)
        if result.status in (0, SESSION_EXISTS):
            return
        if result.status == AUTHENTICATION_FAILED:
            raise Refused("unknown")
        raise Stop(
            UNREACHABLE,
            "The iSCSI login failed: {}. The tunnel to the server stands; look at the server's log.".format(
                last_line(result.err)
            ),
        )

    def logout(self, deadline):
        """Logs out; tells whether no session is left. The server need not be there any more.

        A session whose login is still under way cannot be left: iscsid gives it up by itself after a few tries.
        """
        until = min(deadline, self.host.monotonic() + LOGOUT_PATIENCE)
        while True:
            sessions = sessions_of(self.host, self.iqn)
            for session in sessions:
                # Reads that still wait for a lost server fail after this many seconds.
                self.host.poke("/sys/class/iscsi_session/{}/recovery_tmo".format(session), "1")
            if sessions:
                self.admin(["--logout"], max(1, min(LOGOUT_TIMEOUT, deadline - self.host.monotonic())))
                sessions = sessions_of(self.host, self.iqn)
            if not sessions or self.host.monotonic() >= until:
                return not sessions
            self.host.sleep(1)

    def delete_record(self):
        """Deletes the node record; tells whether none is left."""
        if record_path(self.host, self.iqn) is not None:
            self.admin(["-o", "delete"])
        for folder in RECORD_FOLDERS:
            remove_tree(self.host, "{}/{}".format(folder, self.iqn))
        return record_path(self.host, self.iqn) is None


def absent_folders(host):
    """The folders of open-iscsi's database that this machine does not have yet."""
    bases = [folder.rsplit("/", 1)[0] for folder in RECORD_FOLDERS]
    paths = ["{}/{}".format(base, name) for base in bases if host.exists(base) for name in DATABASE_FOLDERS]
    return [path for path in paths if not host.exists(path)]


def with_settings(text, settings):
    """A record's text with these values: in place where the key stands, else before its last line."""
    lines = text.splitlines()
    end = next((index for index, line in enumerate(lines) if line.startswith("# END RECORD")), len(lines))
    for key, value in settings:
        entry = "{} = {}".format(key, value)
        at = next((index for index, line in enumerate(lines) if line.split("=")[0].strip() == key), None)
        if at is not None:
            lines[at] = entry
        else:
            lines.insert(end, entry)
            end += 1
    return "\n".join(lines) + "\n"


def marked(text):
    """A record's text with our mark after its first line."""
    first, _, rest = text.partition("\n")
    return "{}\n{}\n{}".format(first, MARK, rest)


def record_path(host, iqn):
    """The file of the target's node record; records are PORTAL/INTERFACE, or PORTAL alone."""
    for folder in RECORD_FOLDERS:
        target = "{}/{}".format(folder, iqn)
        for portal in host.names(target):
            path = "{}/{}".format(target, portal)
            inner = host.names(path)
            return "{}/{}".format(path, inner[0]) if inner else path
    return None


def recorded_targets(host):
    """The itemlift targets that have a node record which a script has made."""
    names = {name for folder in RECORD_FOLDERS for name in host.names(folder) if name.startswith(TARGET_PREFIX)}
    return sorted(name for name in names if record_path(host, name) and foreign_record(host, name) is None)


def foreign_record(host, iqn):
    """The file of the target's node record if it is none of a script's; None if it is, or if there is none."""
    path = record_path(host, iqn)
    ours = path is None or MARK in (host.read(path) or "").splitlines()
    return None if ours else path


def record_in_the_way(host, iqn):
    words = "{} is a node record of this target that no script has made; delete it: iscsiadm -m node -T {} -o delete"
    return words.format(foreign_record(host, iqn), iqn)


def remove_tree(host, path):
    """Removes a target's records, two levels deep at most."""
    for name in host.names(path):
        inner = "{}/{}".format(path, name)
        for leaf in host.names(inner):
            host.remove("{}/{}".format(inner, leaf))
        if not host.remove_folder(inner):
            host.remove(inner)
    host.remove_folder(path)


def sessions_of(host, iqn):
    """The kernel's sessions with a target: names under /sys/class/iscsi_session."""
    base = "/sys/class/iscsi_session"
    return [name for name in host.names(base) if host.read("{}/{}/targetname".format(base, name)) == iqn]


def session_disks(host, session):
    """The block devices of a session as {LUN: name}, from the kernel's own tree."""
    disks = {}
    device = "/sys/class/iscsi_session/{}/device".format(session)
    for target in host.names(device):
        if not target.startswith("target"):
            continue
        for address in host.names("{}/{}".format(device, target)):
            parts = address.split(":")
            if len(parts) == 4 and parts[3].isdigit():
                for name in host.names("{}/{}/{}/block".format(device, target, address)):
                    disks[int(parts[3])] = name
    return disks


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no reason given"
