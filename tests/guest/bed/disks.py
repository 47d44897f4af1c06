"""The disks to recover from: made by real tools inside the guest, on blank images, and kept."""

import functools
import json
import subprocess
import tempfile
from pathlib import Path

from bed.cache import GUEST_FILES, cached, recipe_hash, say
from bed.image import GuestImage
from bed.machine import Machine
from bed.recipes import FOLDER, RECIPE_LIST
from bed.shell import Shell

PROGRAMS = "/usr/local/lib/guest"
# Seconds of the guest, whose clock runs ahead on a machine that is busy.
BUILD_LIMIT_SECONDS = 900


class Disk:
    """Finished disks of one recipe: their images in each form, and by volume label the manifests of
    their files.

    Forms: `raw`; `qcow2` (compressed); where the disk has a later state, `base` and `top`,
    which is the later state over the base.
    """

    def __init__(self, folder, recipe):
        self.folder = folder
        self.name = recipe.name
        self.count = len(recipe.sizes)

    def form(self, form, number=0):
        name = f"disk{number or ''}.raw" if form == "raw" else f"{form}{number or ''}.qcow2"
        return self.folder / name

    def forms(self, form):
        return [self.form(form, number) for number in range(self.count)]

    def manifests(self, later=False):
        folder = self.folder / ("later" if later else "first")
        return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


class Disks:
    """All disks by the name of their recipe; made at first use or when their recipe has changed."""

    @functools.cached_property
    def image(self):
        """The machine that makes them, whatever machine they are mounted on."""
        return GuestImage()

    def __getitem__(self, name):
        (recipe,) = [recipe for recipe in RECIPE_LIST if recipe.name == name]
        return Disk(_made(self.image, recipe), recipe)


def _made(image, recipe):
    programs = [
        (GUEST_FILES / "inside" / name).read_text() for name in ("populate.py", "manifest.py")
    ]
    texts = [(FOLDER / "tools.sh").read_text(), recipe.script, recipe.later]
    key = recipe_hash(image.key, texts, programs, recipe.sizes, Path(__file__).read_text())
    return cached(f"disks-{recipe.name}", key, lambda unfinished: _make(image, recipe, unfinished))


def _make(image, recipe, folder):
    disk = Disk(folder, recipe)
    for path, size in zip(disk.forms("raw"), recipe.sizes, strict=True):
        with open(path, "wb") as blank:
            blank.truncate(_bytes(size))
    say(f"disks: making {recipe.name}")
    _in_guest(image, disk, "raw", "first", recipe.script)
    for raw, compressed in zip(disk.forms("raw"), disk.forms("qcow2"), strict=True):
        _qemu_img("convert", "-O", "qcow2", "-c", raw, compressed)
    if recipe.later is None:
        return
    for raw, base, top in zip(
        disk.forms("raw"), disk.forms("base"), disk.forms("top"), strict=True
    ):
        _qemu_img("convert", "-O", "qcow2", raw, base)
        backing = ["-b", base.name, "-F", "qcow2"]
        _qemu_img("create", "-q", "-f", "qcow2", *backing, top)
    _in_guest(image, disk, "top", "later", recipe.later)


def _in_guest(image, disk, form, state, script):
    """Runs the script in a guest of its own on these disks, and brings the manifests out."""
    with tempfile.TemporaryDirectory(dir=disk.folder) as work:
        machine = Machine(image, Path(work), disk.forms(form))
        shell = Shell(machine.port)
        try:
            shell.write("/run/tools.sh", (FOLDER / "tools.sh").read_text())
            shell.write("/run/recipe.sh", script)
            shell.sh("mkdir /run/manifests")
            devices = " ".join("/dev/vd" + "bcdefghijklm"[number] for number in range(disk.count))
            setting = f"GUEST={PROGRAMS} MANIFESTS=/run/manifests; set -- {devices}"
            shell.sh(f"{setting}; . /run/tools.sh; . /run/recipe.sh", limit=BUILD_LIMIT_SECONDS)
            manifests = disk.folder / state
            manifests.mkdir()
            for name in shell.sh("ls /run/manifests").split():
                (manifests / name).write_bytes(shell.read(f"/run/manifests/{name}"))
            machine.power_off()
        finally:
            machine.kill()


def _qemu_img(*words):
    subprocess.run(["qemu-img", *map(str, words)], cwd=words[-1].parent, check=True)


def _bytes(size):
    return int(size[:-1]) << {"M": 20, "T": 40}[size[-1]]
