"""A machine for tests: files below a temporary folder, commands answered from a list, a clock that does not wait."""

import os
import shutil
import tempfile
import unittest

from host import NOT_FOUND, Host, Result

OK = Result(0, "", "")


class FakeHost(Host):
    def __init__(self):
        super().__init__(tempfile.mkdtemp())
        self.tools = {"iscsiadm", "modprobe", "blkid", "blockdev", "mount", "umount", "udevadm", "iscsid"}
        self.ran = []
        self.visibly = []
        self.signals = []
        self.answers = []
        self.clock = 1000.0
        self.timeout = None  # of the command that runs

    def answer(self, words, result):
        """From now on commands that begin with these words end so (or as the callable says); the last given counts."""
        self.answers.insert(0, (words.split(), result))

    def run(self, argv, timeout, stdin=None, variables=None):
        assert timeout > 0 and all(isinstance(word, str) for word in argv), argv
        self.ran.append(" ".join(argv))
        self.timeout = self.allowed(timeout)
        if argv[0] not in self.tools:
            return Result(NOT_FOUND, "", argv[0] + " is not installed")
        for words, result in self.answers:
            if argv[: len(words)] == words:
                return (result(argv) or OK) if callable(result) else result
        return OK

    def run_visibly(self, argv, timeout):
        self.visibly.append(" ".join(argv))
        for words, result in self.answers:
            if argv[: len(words)] == words:
                return result(argv) if callable(result) else result
        return 0

    def which(self, tool):
        return "/usr/bin/" + tool if tool in self.tools else None

    def has_stand_in(self, tool):
        return False

    def signal(self, pid, number):
        self.signals.append((pid, number))
        return True

    def now(self):
        return self.clock

    def monotonic(self):
        return self.clock

    def sleep(self, seconds):
        self.clock += seconds

    def put(self, path, text=""):
        """Makes a file and the folders above it."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "w") as file:
            file.write(text)

    def folder(self, path):
        os.makedirs(self.at(path), exist_ok=True)

    def delete(self, path):
        shutil.rmtree(self.at(path))

    # What the kernel shows

    def disk(self, name, sectors=2048, partitions=(), session=None, lun=0):
        """A disk in sysfs; partitions are (number, sectors)."""
        block = "/sys/devices/{}/block/{}".format(session or "other", name)
        self.put(block + "/size", str(sectors))
        self.put(block + "/ro", "1")
        self.put("/dev/" + name)
        for number, size in partitions:
            part = "{}/{}{}".format(block, name, number)
            self.put(part + "/partition", str(number))
            self.put(part + "/size", str(size))
            self.put(part + "/ro", "1")
            self.link("/sys/class/block/{}{}".format(name, number), part)
        self.link("/sys/class/block/" + name, block)
        if session is not None:
            self.folder("/sys/class/iscsi_session/{}/device/target0:0:0/0:0:0:{}/block/{}".format(session, lun, name))

    def session(self, name, target):
        self.put("/sys/class/iscsi_session/{}/targetname".format(name), target + "\n")
        self.put("/sys/class/iscsi_session/{}/recovery_tmo".format(name), "120")

    def link(self, path, target):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        if not os.path.lexists(self.at(path)):
            os.symlink(self.at(target), self.at(path))

    def mounted(self, *pairs):
        """What /proc/self/mountinfo shows: (device, path)."""
        line = "36 25 8:1 / {} ro,nosuid shared:1 - ext4 {} ro\n"
        text = "".join(line.format(path.replace(" ", "\\040"), device) for device, path in pairs)
        self.put("/proc/self/mountinfo", "25 1 8:0 / / rw - ext4 /dev/vda1 rw\n" + text)

    def found(self, path, **values):
        """What blkid finds on a device."""
        lines = "".join("{}={}\n".format(key, value) for key, value in values.items())
        self.answer("blkid -p -o udev " + path, Result(0 if values else 2, lines, ""))


class FakeTalk:
    """Keeps what is said; what is below on a terminal is no part of that."""

    def __init__(self, agrees=True):
        self.said = []
        self.asked = []
        self.as_json = False
        self.answer = agrees
        self.keys = []
        self.key_tries = 3

    def say(self, text="", look=None, indent=0):
        self.said.append(text)

    def show(self, lines):
        self.said += [line for line, _ in lines]

    def fail(self, sentence):
        self.said.append(sentence)

    def below(self, text):
        pass

    def progress(self, stage, count=""):
        pass

    def width(self):
        return 100

    def shown(self, text):
        return text

    def agrees(self, question):
        self.asked.append(question)
        return self.answer

    def ask_key(self, prompt):
        self.asked.append(prompt)
        return self.keys.pop(0) if self.keys else ""

    @property
    def text(self):
        return "\n".join(self.said)


class HostCase(unittest.TestCase):
    def setUp(self):
        self.host = FakeHost()
        self.talk = FakeTalk()
        self.addCleanup(shutil.rmtree, self.host.root)
        self.host.folder("/run/udev")
        self.host.mounted()


PLAN = {
    "site": "local",
    "vm": "web01",
    "point": "2026-11-20T02-00-00Z",
    "grant": "7f3k",
    "iqn": "iqn.2026-11.io.itemlift:7f3k",
    "server_name": "localhost",
    "host": "127.0.0.1",
    "port": 3260,
    "created_at": 0,
    "expires_at": 43200,
    "ca_der": "",
    "disks": [
        {"lun": 0, "name": "root", "size": 1 << 30, "sector_size": 512},
        {"lun": 1, "name": "data", "size": 1 << 31, "sector_size": 512},
    ],
    "not_served": [],
}
SECRETS = {
    "initiator_user": "user-i",
    "initiator_secret": "secret-initiator",
    "target_user": "user-t",
    "target_secret": "secret-of-target",
    "client_cert_pem": "",
    "client_key_pem": "",
}
