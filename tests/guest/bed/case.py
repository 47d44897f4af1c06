"""What a scenario works with: the guest, a server of its own, scripts, and its checks."""

import shutil
import subprocess

from bed.leaks import HostState
from bed.script import MountScript
from bed.server import EARLIER_POINT, Server
from bed.tunnel import Tunnel

WORK = "/root/work"


class Case:
    """One run of one scenario. Servers start when first asked for and end with it."""

    def __init__(self, shell, disks, folder, timing, figures, restart):
        self.shell = shell
        self.disks = disks
        self.folder = folder
        self.timing = timing
        self.figures = figures
        self.servers = []
        self.tunnels = []
        self.cleanups = []
        self.host = None
        self._restart = restart

    def open(self, leave_out=()):
        """Notes the machine as it is; `leave_out` as for HostState."""
        self.host = HostState(self.shell, leave_out=leave_out)

    def server(self):
        """A server with an empty source, not initialised yet."""
        server = Server(self.folder / f"server{len(self.servers)}")
        self.servers.append(server)
        return server

    def serve(self, vms):
        """A running server with these VMs: name -> list of (recipe, form)."""
        server = self.server()
        for vm, disks in vms.items():
            server.add_point(vm, self._files(disks))
        server.init()
        server.start()
        return server

    def serve_images(self, images, toml=None, more=""):
        """A running server with one VM, web01, of these image files; `more` as for Server.init."""
        server = self.server()
        server.add_point("web01", [(image.name, image) for image in images], toml=toml)
        server.init(more)
        server.start()
        return server

    def tunnel(self, bundle):
        tunnel = Tunnel(self.folder, bundle)
        self.tunnels.append(tunnel)
        return tunnel

    def _files(self, disks):
        images = [image for name, form in disks for image in self.disks[name].forms(form)]
        return [(f"disk{number}{image.suffix}", image) for number, image in enumerate(images)]

    def script(self, disks, vm="web01", lifetime=None, folder=WORK):
        """A server that has this VM, a grant for it, and its script in the guest."""
        server = self.serve({vm: disks})
        return self.deliver(server.grant(vm, lifetime), folder)

    def deliver(self, grant, folder=WORK):
        self.cleanups.append(lambda: self.shell.must("rm", "-rf", folder))
        return MountScript(self.shell, grant, folder)

    def restart(self, script, orderly):
        """The machine, of a scenario with INSTALLED, ends as by `reboot` or as in a power failure,
        and starts again with the same disk; returns the seconds that its end took."""
        self.shell, took = self._restart(orderly)
        script.shell = self.host.shell = self.shell
        return took

    def over_earlier_point(self, disk):
        """The disk's top image, its backing file named as it lies from this point's folder."""
        top = self.folder / "top.qcow2"
        shutil.copy(disk.form("top"), top)
        backing = f"../{EARLIER_POINT}/base.qcow2"
        rebase = ["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", backing]
        subprocess.run([*rebase, str(top)], check=True)
        return top

    def manifests(self, *names):
        merged = {}
        for name in names:
            merged.update(self.disks[name].manifests())
        return merged

    def say(self, words):
        """A figure that the scenario has measured, for the end of the table."""
        self.figures.append(f"{self.folder.name}: {words}")

    def afterwards(self, action):
        """Puts back what the scenario changed on the machine; the last is done first."""
        self.cleanups.append(action)

    def close(self):
        """Undoes the scenario's own changes; what differs then is the product's doing."""
        while self.cleanups:
            self.cleanups.pop()()
        return self.host.changes()

    def end_servers(self):
        for tunnel in self.tunnels:
            tunnel.kill()
        for server in self.servers:
            server.kill()
