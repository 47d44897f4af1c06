"""The recovery machine as a server is installed: systemd, its services, and multipath.

These packages would change what other scenarios look at. They are put upon the guest image, in a
copy-on-write file over its disk, by apt in the guest itself.
"""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bed.cache import cached, recipe_hash, say
from bed.machine import Machine
from bed.shell import Shell

PACKAGES = ("systemd-sysv", "multipath-tools")
BUILD_LIMIT_SECONDS = 900

AGENT_UNIT = """[Unit]
Description=Agent of the test bed; what it starts ends as a user's session would
After=systemd-user-sessions.service network.target

[Service]
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Environment=LANG=C.UTF-8 HOME=/root
ExecStart=/usr/bin/python3 /usr/local/lib/guest/agent.py

[Install]
WantedBy=multi-user.target
"""

NETWORK = """[Match]
Name=eth0

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""

INSTALL = """
mkdir /run/debs
mount -o ro /dev/vdb /run/debs
# Nothing is to be started while it is being installed.
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y install /run/debs/*.deb
rm /usr/sbin/policy-rc.d
umount /run/debs
systemd-machine-id-setup
systemctl enable guest-agent.service systemd-networkd.service
systemctl disable systemd-networkd-wait-online.service
# No work by the clock, and no login on the console.
systemctl mask timers.target getty.target serial-getty@ttyS0.service
mkdir -p /etc/systemd/journald.conf.d /etc/iscsi/nodes /etc/iscsi/ifaces /etc/iscsi/send_targets
printf '[Journal]\\nStorage=volatile\\n' >/etc/systemd/journald.conf.d/bed.conf
"""


@dataclass(frozen=True)
class Installed:
    """As GuestImage, for a machine; `root` is a qcow2 file whose backing file is that image's."""

    root: Path
    kernel: Path
    initrd: Path

    @classmethod
    def over(cls, image):
        key = recipe_hash(image.key, PACKAGES, Path(__file__).read_text())
        folder = cached(
            f"{image.suite}-installed", key, lambda unfinished: _build(image, unfinished)
        )
        return cls(folder / "root.qcow2", image.kernel, image.initrd)

    def copy(self, folder):
        """The same machine with a disk of its own, which keeps what is written to it."""
        return Installed(_layer(self.root, folder / "root.qcow2"), self.kernel, self.initrd)


def _build(image, folder):
    say(f"guest image: installing {', '.join(PACKAGES)} upon it")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        debs = work / "debs.ext4"
        with open(debs, "wb") as blank:
            blank.truncate(256 << 20)
        fill = ["mkfs.ext4", "-q", "-F", "-d", str(_download(image.root, work)), str(debs)]
        subprocess.run(fill, check=True)
        upon = Installed(_layer(image.root, folder / "root.qcow2"), image.kernel, image.initrd)
        machine = Machine(upon, work, copies=[debs], keeps=True)
        shell = Shell(machine.port)
        try:
            shell.sh("mkdir -p /etc/systemd/system /etc/systemd/network")
            shell.write("/etc/systemd/system/guest-agent.service", AGENT_UNIT)
            shell.write("/etc/systemd/network/eth0.network", NETWORK)
            shell.sh(INSTALL, limit=BUILD_LIMIT_SECONDS)
            machine.power_off()
        finally:
            machine.kill()


def _layer(below, path):
    """A copy-on-write file; it names the one below as it lies from there, so that both can move."""
    form = "qcow2" if below.suffix == ".qcow2" else "raw"
    backing = ["-F", form, "-b", os.path.relpath(below, path.parent)]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(path)], check=True)
    return path


def _download(root, work):
    """The packages and what of their dependencies the image does not have, by this machine's apt
    from the image's own sources."""
    apt = work / "apt"
    for name in ("lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    for request in (f"rdump /etc/apt {apt}", f"dump /var/lib/dpkg/status {apt}/status"):
        subprocess.run(["debugfs", "-R", request, str(root)], check=True, capture_output=True)
    settings = {
        "Dir::Etc": apt / "apt",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "true",
    }
    command = ["apt-get", "-q", "-y"]
    command += [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    for words in (["update"], ["--download-only", "install", *PACKAGES]):
        subprocess.run(command + words, check=True, stdout=subprocess.DEVNULL)
    archives = apt / "cache/archives"
    (archives / "lock").unlink(missing_ok=True)
    (archives / "partial").rmdir()
    return archives
