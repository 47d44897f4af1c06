"""Runs scenarios one after the other in one guest.

A failure throws the guest away, as it may be left in any state; another is up in seconds. Some
scenarios have a guest of their own: with HOST_DISKS, names of recipes, one that has copies of these
disks; with OWN_GUEST, one that may be left in any state; with INSTALLED, one with systemd and
multipath that keeps its disk when it is restarted.
"""

import shutil
import time

from bed.case import Case
from bed.installed import Installed
from bed.machine import Machine
from bed.shell import Shell

# Everything is emulated, on a machine that may be busy.
READY_LIMIT_SECONDS = 300

# The nodes of device-mapper and loop stay in /dev once they are there. A machine with open-iscsi
# has its daemon at hand (systemd starts it by its socket) and the folders that iscsiadm makes when
# it is first used.
READY = (
    "modprobe -a iscsi_tcp dm_mod loop && iscsid && "
    "mkdir -p /etc/iscsi/nodes /etc/iscsi/ifaces /etc/iscsi/send_targets"
)
SETTLED = "modprobe -a iscsi_tcp dm_mod loop && systemctl is-system-running --wait || true"


class Bench:
    def __init__(self, folder, image, disks):
        folder.mkdir()
        self.folder = folder
        self.image = image
        self.disks = disks
        self.machine = None
        self.boots = []
        self.timing = []
        self.figures = []

    def run(self, name, scenario):
        """None, or what went wrong. The guest stays up for the next one only if all was well."""
        folder = self.folder / name
        folder.mkdir()
        host_disks = getattr(scenario, "HOST_DISKS", ())
        installed = getattr(scenario, "INSTALLED", False)
        own = host_disks or installed or getattr(scenario, "OWN_GUEST", False)
        if own:
            self.discard_machine()
        image = Installed.over(self.image).copy(folder) if installed else self.image
        case = Case(
            self.shell(image, host_disks),
            self.disks,
            folder,
            self.timing,
            self.figures,
            lambda orderly: self.restart(image, orderly),
        )
        try:
            case.open()
            scenario.run(case)
            left = case.close()
        except (AssertionError, TimeoutError) as error:
            problem = f"{error}\n{self.surroundings(case)}"
        else:
            problem = "left behind:\n  " + "\n  ".join(left) if left else None
        finally:
            case.end_servers()
        if problem or own:
            self.discard_machine()
        if not problem:
            shutil.rmtree(folder)
        return problem

    def shell(self, image=None, host_disks=()):
        """The guest's shell; boots one, with copies of these recipes' disks, where none is up."""
        if self.machine is None:
            folder = self.folder / f"machine{len(self.boots)}"
            folder.mkdir()
            image = image or self.image
            copies = [path for name in host_disks for path in self.disks[name].forms("raw")]
            self.machine = Machine(image, folder, copies=copies, keeps=image is not self.image)
            self.boots.append(self.machine.boot_seconds)
            ready = SETTLED if image is not self.image else READY
            Shell(self.machine.port).sh(ready, limit=READY_LIMIT_SECONDS)
        return Shell(self.machine.port)

    def restart(self, image, orderly):
        """Ends the machine and starts it again: its shell, and the seconds that its end took."""
        started = time.monotonic()
        if orderly:
            self.machine.reboot()
        self.machine.kill()
        took = time.monotonic() - started
        self.machine = None
        return self.shell(image), took

    def surroundings(self, case):
        """What helps to understand a failure: the server's log and the kernel's last words."""
        logs = [f"server log:\n{server.log()}" for server in case.servers]
        kernel = self.shell().run(
            "sh", "-c", "dmesg | tail -25; iscsiadm -m session; findmnt -l -t noproc | tail -8"
        )
        return "\n".join([*logs, f"guest:\n{kernel.text}"])

    def discard_machine(self):
        if self.machine is not None:
            self.machine.kill()
            self.machine = None
