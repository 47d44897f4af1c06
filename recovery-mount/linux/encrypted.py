"""LUKS and BitLocker containers: the key is asked for, handed to cryptsetup through a pipe, and kept nowhere."""

from cow import NoRoom
from devices import joined, size_of
from filesystems import Volume

CRYPTSETUP_TIMEOUT = 120
# How cryptsetup calls what blkid finds.
CONTAINER_TYPES = {"crypto_LUKS": "luks", "BitLocker": "bitlk"}
# Its exit statuses.
FAILED, WRONG_KEY = 1, 2


class Crypt:
    """Opens each container by itself."""

    def __init__(self, mapper, overlays, tools, talk):
        self.mapper = mapper
        self.overlays = overlays
        self.tools = tools
        self.talk = talk

    def claims(self, host, device):
        return device.probe(host).type in CONTAINER_TYPES

    def open(self, host, devices):
        made, volumes = [], []
        for device in devices:
            opened, reason = self.open_container(host, device)
            if opened is not None:
                made.append(opened)
            else:
                found = device.probe(host)
                volumes.append(Volume([device], found.type, found.label, True, "is encrypted: " + reason))
        return made, volumes

    def open_container(self, host, device):
        """(what is inside as a device, None), or (None, why not)."""
        if not self.tools.have("cryptsetup", "to open encrypted volumes"):
            return None, "cryptsetup is not installed"
        found = device.probe(host)
        try:
            below, options = self.overlays.over(device), []
        except NoRoom:
            below, options = device, ["--readonly"]
        where = "{}, {}".format(device.disk, device.source) + (" ({})".format(found.label) if found.label else "")
        for _ in range(self.talk.key_tries):
            key = self.talk.ask_key("Key of the encrypted volume {}, or nothing to leave it closed".format(where))
            if not key:
                return None, "no key was given"
            name = self.mapper.name("plain")
            kind = CONTAINER_TYPES[found.type]
            words = ["cryptsetup", "open", "--type", kind, "--key-file=-"] + options + [below.path, name]
            result = host.run(words, CRYPTSETUP_TIMEOUT, stdin=key)
            if result.status == 0:
                return self.opened(host, name, below)
            if not is_wrong_key(kind, result):
                return None, "cryptsetup cannot open it ({})".format(result.err or "no reason given")
            self.talk.say("This key does not open {}.".format(where))
        return None, "the key is wrong"

    def opened(self, host, name, below):
        path, problem = self.mapper.appeared(name)
        if path is None:
            return None, problem
        size = size_of(host, path.rsplit("/", 1)[1])
        return joined([below], path, "{}, decrypted".format(below.source), size, 0), None


def is_wrong_key(kind, result):
    """Whether cryptsetup says so; of BitLocker it says no more than that it failed."""
    return result.status == WRONG_KEY or (kind == "bitlk" and result.status == FAILED and not result.err)
