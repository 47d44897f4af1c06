"""A mount script in the guest: running it in each of its ways, and what it says of itself."""

import json
import shlex

from bed.compare import differences

# Everything is emulated, on a machine that may be busy.
MOUNT_LIMIT_SECONDS = 300
CLOSE_LIMIT_SECONDS = 60


class MountScript:
    """The script of one grant in a working folder of the recovery machine."""

    def __init__(self, shell, grant, folder):
        self.shell = shell
        self.grant = grant
        self.folder = folder
        self.path = f"{folder}/{grant.file.name}"
        shell.must("mkdir", "-p", folder)
        shell.write(self.path, grant.file.read_bytes(), mode=0o600)

    def run(self, *flags, password=None, **options):
        """Runs it to its end; the password is this grant's unless another is given."""
        stdin = self.grant.password if password is None else password
        options.setdefault("cwd", self.folder)
        options.setdefault("limit", MOUNT_LIMIT_SECONDS)
        return self.shell.run("python3", self.path, *flags, stdin=stdin + "\n", **options)

    def attach(self, *flags, expected=0, keys=(), **options):
        """Mounts and returns with the script in the background.

        `expected` is its exit status; `keys` are those of encrypted volumes.
        """
        options.setdefault("password", "\n".join([self.grant.password, *keys]))
        done = self.run("--detach", "--password-stdin", "--format", "json", *flags, **options)
        assert done.status == expected, f"mounting ended with {done.status}:\n{done.text}"
        return Report(self.shell, done.stdout, done.marks)

    def start(self, *flags, keys=(), **options):
        """Starts it in the foreground and returns at once."""
        options.setdefault("cwd", self.folder)
        words = ["python3", self.path, "--password-stdin", "--format", "json", *flags]
        lines = "".join(line + "\n" for line in (self.grant.password, *keys))
        return self.shell.spawn(*words, stdin=lines, **options)

    def stay(self, *flags, **options):
        """Mounts and returns with the script in the foreground, waiting."""
        running = self.start(*flags, **options)
        running.wait_for('"volumes"', limit=MOUNT_LIMIT_SECONDS)
        state = running.state()
        return running, Report(self.shell, state["stdout"], state["marks"])

    def unanswered(self, *flags, **options):
        """Starts it on a terminal and types nothing yet."""
        options.setdefault("cwd", self.folder)
        return self.shell.spawn("python3", self.path, *flags, terminal=True, **options)

    def on_terminal(self, *flags, **options):
        """Starts it on a terminal and types the password."""
        running = self.unanswered(*flags, **options)
        running.wait_for("assword")
        running.type(self.grant.password + "\n")
        return running

    def status(self):
        """The report of `--status`; what it ended with must be 0."""
        done = self.run("--status", "--format", "json", limit=CLOSE_LIMIT_SECONDS)
        ends_with(done, 0)
        return Report(self.shell, done.stdout, done.marks)

    def close(self):
        done = self.run("--unmount", limit=CLOSE_LIMIT_SECONDS + 10)
        assert done.status == 0, f"--unmount ended with {done.status}:\n{done.text}"
        assert done.seconds < CLOSE_LIMIT_SECONDS, f"closing took {done.seconds:.0f} s"
        return done


def ends_with(done, status, *words):
    """It ended with this status and said these words, whatever their case."""
    assert done.status == status, f"ended with {done.status} instead of {status}:\n{done.text}"
    said = " ".join(done.text.lower().split())
    missing = [word for word in words if word.lower() not in said]
    assert not missing, f"did not say {missing}:\n{done.text}"


class Report:
    """The JSON object that the script ends its output with."""

    def __init__(self, shell, stdout, marks):
        self.shell = shell
        self.marks = marks
        lines = [line for line in stdout.splitlines() if line.startswith("{")]
        assert lines, f"the script printed no JSON object:\n{stdout}{marks}"
        self.json = json.loads(lines[-1])
        self.volumes = self.json["volumes"]

    def volume(self, label):
        found = [volume for volume in self.volumes if volume["label"] == label]
        assert len(found) == 1, (
            f"{len(found)} volumes are called {label}: {json.dumps(self.volumes, indent=1)}"
        )
        return found[0]

    def holds(self, manifests):
        """Each volume of the manifests is mounted read-only and its files are as they were."""
        for label, expected in manifests.items():
            volume = self.volume(label)
            assert volume["mounted"], f"{label} is not mounted: {volume['reason']}"
            options = (
                self.shell.sh(f"findmnt -n -o OPTIONS --mountpoint {shlex.quote(volume['path'])}")
                .strip()
                .split(",")
            )
            missing = {"ro", "nosuid", "nodev", "noexec"} - set(options)
            assert not missing, (
                f"{label} is mounted without {', '.join(sorted(missing))}: {options}"
            )
            wrong = differences(self.shell, volume["path"], volume["fs"], expected)
            assert not wrong, f"{label} differs:\n  " + "\n  ".join(wrong)
