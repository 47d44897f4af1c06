"""One running guest: QEMU, its console log, and the port to the agent inside."""

import os
import subprocess
import threading
import time
from pathlib import Path

from bed.port import AgentPort, GuestError

BOOT_LIMIT_SECONDS = 120
# systemd gives each service 90 s to end.
REBOOT_LIMIT_SECONDS = 180
MEMORY_MIB = 1536

# `max` gives the emulated processor AES and SHA instructions, which the tunnel's TLS uses.
PROCESSOR = ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "2"]
KERNEL_LINE = (
    "root=/dev/vda console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 audit=0 mitigations=off "
    "random.trust_cpu=on nokaslr tsc=reliable no_timer_check rcupdate.rcu_expedited=1 nowatchdog"
)

# Machines that are up; None once the run is over, and none may start any more.
_up, _changing = set(), threading.Lock()


def end_all():
    """Ends every machine for good, also those that other threads are at work with."""
    global _up
    with _changing:
        machines, _up = _up or (), None
    for machine in machines:
        machine.kill()


class Machine:
    """A booted guest. What it writes to its own disk is thrown away at the end, unless it `keeps`.

    `disks` are images, raw or *.qcow2, that it may write to: /dev/vdb, /dev/vdc, … in their order;
    `copies` come after them, and what is written to these is thrown away as well.
    """

    def __init__(self, image, folder: Path, disks=(), copies=(), keeps=False):
        self.folder = folder
        self.console = folder / "console.log"
        socket = folder / "agent.sock"
        command = ["qemu-system-x86_64", *PROCESSOR, "-m", str(MEMORY_MIB)]
        command += ["-M", "pc,usb=off,vmport=off"]
        command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-serial", f"file:{self.console}"]
        command += ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
        command += ["-append", KERNEL_LINE]
        command += _disk(image.root, "cache=unsafe" if keeps else "snapshot=on")
        for disk in disks:
            command += _disk(disk, "cache=unsafe,discard=unmap,detect-zeroes=unmap")
        for disk in copies:
            command += _disk(disk, "snapshot=on")
        command += ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
        command += ["-object", "rng-random,id=rng,filename=/dev/urandom"]
        command += ["-device", "virtio-rng-pci,rng=rng"]
        command += ["-chardev", f"socket,id=agent,path={socket},server=on,wait=off"]
        command += ["-device", "virtio-serial-pci"]
        command += ["-device", "virtserialport,chardev=agent,name=agent"]
        started = time.monotonic()
        with _changing, open(folder / "qemu.log", "wb") as log:
            if _up is None:
                raise GuestError("the run was ended")
            # Its temporary overlay of the root disk lies beside its log.
            environment = dict(os.environ, TMPDIR=str(folder))
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
            _up.add(self)
        try:
            self.port = AgentPort(socket, alive=lambda: self.process.poll() is None)
            self.port.greet(BOOT_LIMIT_SECONDS)
        except GuestError as error:
            self.kill()
            raise GuestError(f"the guest did not start: {error}\n{self.last_words()}") from error
        self.boot_seconds = time.monotonic() - started

    def power_off(self):
        """Flushes its disks and ends; needed when their content is to be kept."""
        self.port.post({"do": "power_off"})
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise GuestError("the guest did not power off") from error
        self.port.close()

    def reboot(self):
        """As an administrator would; QEMU ends where the machine would start again."""
        self.port.post({"do": "run", "argv": ["systemctl", "reboot"], "stdin": "", "timeout": 60})
        try:
            self.process.wait(timeout=REBOOT_LIMIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(
                f"the shutdown hung for {REBOOT_LIMIT_SECONDS} s:\n{self.last_words()}"
            ) from error
        self.port.close()

    def kill(self):
        with _changing:
            if _up is not None:
                _up.discard(self)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def last_words(self):
        words = []
        for log in (self.folder / "qemu.log", self.console):
            if log.exists():
                words += log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(words)


def _disk(path, options):
    form = "qcow2" if path.suffix == ".qcow2" else "raw"
    return ["-drive", f"file={path},format={form},if=virtio,{options}"]
