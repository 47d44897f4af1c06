"""Runs scenarios one after the other in one guest.

A failure throws the guest away, as it may be left in any state; another is up in seconds. A
scenario with HOST_DISKS, names of recipes, has a guest of its own that has copies of these disks.
"""

import shutil

from bed.case import Case
from bed.machine import Machine
from bed.shell import Shell


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
        if host_disks:
            self.discard_machine()
        case = Case(self.shell(host_disks), self.disks, folder, self.timing, self.figures)
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
        if problem or host_disks:
            self.discard_machine()
        if not problem:
            shutil.rmtree(folder)
        return problem

    def shell(self, host_disks=()):
        """The guest's shell; boots one, with copies of these recipes' disks, where none is up."""
        if self.machine is None:
            folder = self.folder / f"machine{len(self.boots)}"
            folder.mkdir()
            copies = [path for name in host_disks for path in self.disks[name].forms("raw")]
            self.machine = Machine(self.image, folder, copies=copies)
            self.boots.append(self.machine.boot_seconds)
            # The nodes of device-mapper and loop stay in /dev once they are there. A machine with
            # open-iscsi has its daemon at hand (systemd would start it by its
            # socket) and the folders that iscsiadm makes when it is first used.
            folders = "mkdir -p /etc/iscsi/nodes /etc/iscsi/ifaces /etc/iscsi/send_targets"
            Shell(self.machine.port).sh(f"modprobe -a iscsi_tcp dm_mod loop && iscsid && {folders}")
        return Shell(self.machine.port)

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
