"""The disks to recover from: made by real tools inside the guest, on blank images, and kept."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bed.cache import GUEST_FILES, cached, recipe_hash, say
from bed.machine import Machine
from bed.shell import Shell

RECIPES = GUEST_FILES / "recipes"
PROGRAMS = "/usr/local/lib/guest"
BUILD_LIMIT_SECONDS = 300


@dataclass(frozen=True)
class Recipe:
    """A disk of `size`, made by recipes/NAME.sh and changed later by NAME.later.sh, if any."""

    name: str
    size: str

    @property
    def script(self):
        return (RECIPES / f"{self.name}.sh").read_text()

    @property
    def later(self):
        path = RECIPES / f"{self.name}.later.sh"
        return path.read_text() if path.exists() else None


RECIPE_LIST = (Recipe("gpt", "760M"), Recipe("mbr", "220M"), Recipe("whole", "72M"))


class Disk:
    """A finished disk: its image in each form, and for each volume label the manifest of its files.

    Forms: `raw`; `qcow2` (compressed); where the disk has a later state, `base` and `top`,
    which is the later state over the base.
    """

    def __init__(self, folder, name):
        self.folder = folder / name
        self.name = name

    def form(self, form):
        return self.folder / {"raw": "disk.raw"}.get(form, f"{form}.qcow2")

    def manifests(self, later=False):
        folder = self.folder / ("later" if later else "first")
        return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def disks(image):
    """All disks by name; made, in one guest, when a recipe or its tools have changed."""
    texts = [(path.name, path.read_text()) for path in sorted(RECIPES.glob("*.sh"))]
    programs = [
        (GUEST_FILES / "inside" / name).read_text() for name in ("populate.py", "manifest.py")
    ]
    sizes = [(recipe.name, recipe.size) for recipe in RECIPE_LIST]
    key = recipe_hash(image.key, texts, programs, sizes, Path(__file__).read_text())
    folder = cached("disks", key, lambda unfinished: _make_all(image, unfinished))
    return {recipe.name: Disk(folder, recipe.name) for recipe in RECIPE_LIST}


def _make_all(image, folder):
    for recipe in RECIPE_LIST:
        (folder / recipe.name).mkdir()
        with open(folder / recipe.name / "disk.raw", "wb") as blank:
            blank.truncate(_bytes(recipe.size))
    say("disks: making " + ", ".join(recipe.name for recipe in RECIPE_LIST))
    _in_guest(image, folder, RECIPE_LIST, "raw", "first", lambda recipe: recipe.script)
    for recipe in RECIPE_LIST:
        _qemu_img(
            "convert", "-O", "qcow2", "-c", "disk.raw", "qcow2.qcow2", folder=folder / recipe.name
        )
    changed = [recipe for recipe in RECIPE_LIST if recipe.later]
    for recipe in changed:
        _qemu_img("convert", "-O", "qcow2", "disk.raw", "base.qcow2", folder=folder / recipe.name)
        _qemu_img(
            "create",
            "-q",
            "-f",
            "qcow2",
            "-b",
            "base.qcow2",
            "-F",
            "qcow2",
            "top.qcow2",
            folder=folder / recipe.name,
        )
    _in_guest(image, folder, changed, "top", "later", lambda recipe: recipe.later)


def _in_guest(image, folder, recipes, form, state, script_of):
    """Runs the scripts in one guest, each on its own disk, and brings the manifests out."""
    images = [Disk(folder, recipe.name).form(form) for recipe in recipes]
    with tempfile.TemporaryDirectory(dir=folder) as work:
        machine = Machine(image, Path(work), images)
        shell = Shell(machine.port)
        try:
            shell.write("/run/tools.sh", (RECIPES / "tools.sh").read_text())
            for number, recipe in enumerate(recipes):
                say(f"disks: {recipe.name}")
                _run_recipe(
                    shell,
                    folder / recipe.name / state,
                    script_of(recipe),
                    "/dev/vd" + "bcdefgh"[number],
                )
            machine.power_off()
        finally:
            machine.kill()


def _run_recipe(shell, manifests, script, device):
    shell.sh("rm -rf /run/manifests && mkdir /run/manifests")
    shell.write("/run/recipe.sh", script)
    setting = f"GUEST={PROGRAMS} MANIFESTS=/run/manifests; set -- {device}"
    shell.sh(f"{setting}; . /run/tools.sh; . /run/recipe.sh", limit=BUILD_LIMIT_SECONDS)
    manifests.mkdir()
    for name in shell.sh("ls /run/manifests").split():
        (manifests / name).write_bytes(shell.read(f"/run/manifests/{name}"))


def _qemu_img(*words, folder):
    subprocess.run(["qemu-img", *words], cwd=folder, check=True)


def _bytes(size):
    return int(size.removesuffix("M")) << 20
