"""The machine that the script runs on: every command and every file goes through here."""

import collections
import contextlib
import errno
import os
import shutil
import subprocess
import time

SUB_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# A command that had its time is killed; if the kernel holds it, it is left behind after this many seconds.
KILL_GRACE = 2
# What a command gets even when the time of all of them together is over: most take a fraction of it.
LEAST_TIME = 1

# One program under the names of many, with few of their options.
STAND_INS = ("busybox", "toybox")

TIMED_OUT = 124
NOT_FOUND = 127

Result = collections.namedtuple("Result", "status out err")


def places_of(tool):
    found = (shutil.which(tool, path=folder) for folder in SUB_PATH.split(":"))
    return [path for path in found if path is not None]


def is_stand_in(path):
    return os.path.basename(os.path.realpath(path)) in STAND_INS


class Host:
    """Commands and files of a machine; `root` is another place for its files, for tests."""

    def __init__(self, root=""):
        self.root = root
        self.tool_paths = {}
        self.end = None  # by when all commands together are to be through

    # Commands

    @contextlib.contextmanager
    def within(self, seconds):
        """The commands in this context have this long together, whatever time each has by itself."""
        outer = self.end
        end = self.monotonic() + seconds
        self.end = end if outer is None else min(end, outer)
        try:
            yield
        finally:
            self.end = outer

    def time_is_up(self):
        return self.end is not None and self.monotonic() >= self.end

    def allowed(self, timeout):
        """The time that a command has."""
        return timeout if self.end is None else max(LEAST_TIME, min(timeout, self.end - self.monotonic()))

    def run(self, argv, timeout, stdin=None, variables=None):
        """Runs a command without a shell; text in, text out; never raises for what the command does."""
        tool = self.which(argv[0])
        if tool is None:
            return Result(NOT_FOUND, "", "{} is not installed".format(argv[0]))
        environment = dict({"PATH": SUB_PATH, "LC_ALL": "C"}, **(variables or {}))
        process = subprocess.Popen(
            [tool] + list(argv[1:]),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        data = stdin.encode() if stdin is not None else None
        timeout = self.allowed(timeout)
        try:
            out, err = process.communicate(data, timeout=timeout)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            try:
                out, err = process.communicate(timeout=KILL_GRACE)
            except subprocess.TimeoutExpired:
                out, err = b"", b""
            status = TIMED_OUT
            err += "gave no answer within {:.0f} s".format(timeout).encode()
        return Result(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace").strip())

    def run_visibly(self, argv, timeout):
        """Runs a command whose output belongs on the terminal (an installer); returns its status."""
        tool = self.which(argv[0])
        if tool is None:
            return NOT_FOUND
        environment = {"PATH": SUB_PATH, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
            if name in os.environ:
                environment[name] = os.environ[name]
        try:
            return subprocess.call(
                [tool] + list(argv[1:]), stdin=subprocess.DEVNULL, stdout=2, env=environment, cwd="/", timeout=timeout
            )
        except subprocess.TimeoutExpired:
            return TIMED_OUT

    def which(self, tool):
        """Where a tool is, in the system's folders only; what a small machine has in its place does not count."""
        if tool not in self.tool_paths:
            path = next((path for path in places_of(tool) if not is_stand_in(path)), None)
            if path is None:
                return None  # it may be installed yet
            self.tool_paths[tool] = path
        return self.tool_paths[tool]

    def has_stand_in(self, tool):
        """Whether BusyBox or the like answers to the name, and knows too few of the tool's options."""
        return self.which(tool) is None and any(map(is_stand_in, places_of(tool)))

    def signal(self, pid, number):
        """Sends a signal; tells whether the process was there to take it."""
        try:
            os.kill(pid, number)
        except OSError:
            return False
        return True

    # Files

    def at(self, path):
        return self.root + path

    def read(self, path):
        """A file's text without white space around it, or None if it cannot be read."""
        try:
            with open(self.at(path), "rb") as file:
                return os.fsdecode(file.read()).strip()
        except OSError:
            return None

    def write(self, path, text, mode=0o644):
        """Replaces a file in one step, never seen half-written or with other rights, a power failure included."""
        draft = "{}.{}.new".format(self.at(path), os.getpid())
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(os.fsencode(text))
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, self.at(path))
        except OSError:
            os.unlink(draft)
            raise

    def read_bytes(self, path, offset, length):
        """Bytes of a device or a file, fewer where it ends; None if they cannot be read."""
        try:
            with open(self.at(path), "rb", buffering=0) as file:
                file.seek(offset)
                return file.read(length)
        except OSError:
            return None

    def read_ahead(self, path, *pieces):
        """Has the kernel fetch pieces of a device, (offset, length), without waiting for them.

        They are kept as long as somebody holds the device open: returns a descriptor that does, or None.
        """
        try:
            descriptor = os.open(self.at(path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        for offset, length in pieces:
            try:
                os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)
            except OSError:
                break
        return descriptor

    def write_bytes(self, path, offset, data):
        """Writes to a device, down to it; tells whether it took all."""
        try:
            with open(self.at(path), "r+b", buffering=0) as file:
                file.seek(offset)
                written = file.write(data)
                os.fsync(file.fileno())
                return written == len(data)
        except OSError:
            return False

    def poke(self, path, text):
        """Writes to a file of the kernel; tells whether it took it."""
        try:
            with open(self.at(path), "w") as file:
                file.write(text)
            return True
        except OSError:
            return False

    def push(self, path, text, timeout):
        """As `poke`, where the kernel may take its time; tells whether it took it in this time."""
        return self.run(["sh", "-c", 'printf %s "$1" >"$2"', "sh", text, self.at(path)], timeout).status == 0

    def names(self, path):
        """What is in a folder, sorted; nothing if there is none."""
        try:
            return sorted(os.listdir(self.at(path)))
        except OSError:
            return []

    def exists(self, path):
        return os.path.lexists(self.at(path))

    def can_open(self, path):
        """Whether a device can be read; the kernel lets nobody in before it has read the partition table."""
        try:
            os.close(os.open(self.at(path), os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return False
        return True

    def real(self, path):
        resolved = os.path.realpath(self.at(path))
        return resolved[len(self.root) :] if resolved.startswith(self.root) else resolved

    def make_folder(self, path, mode=0o755):
        """Makes one folder; tells whether it was made now. Raises OSError if it cannot be."""
        try:
            os.mkdir(self.at(path), mode)
            return True
        except FileExistsError:
            return False

    def remove(self, path):
        """Removes a file; tells whether it is gone."""
        try:
            os.unlink(self.at(path))
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    def remove_folder(self, path):
        """Removes an empty folder; tells whether it is gone."""
        try:
            os.rmdir(self.at(path))
        except OSError as error:
            return error.errno == errno.ENOENT
        return True

    # Time

    def now(self):
        return time.time()

    def monotonic(self):
        return time.monotonic()

    def sleep(self, seconds):
        time.sleep(seconds)

    def wait_for(self, condition, seconds, step=0.1):
        """Asks until the condition holds or the time is over; returns its last answer."""
        end = self.monotonic() + seconds
        while True:
            answer = condition()
            if answer or self.monotonic() >= end:
                return answer
            self.sleep(step)
