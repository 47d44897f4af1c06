"""What disks there are to recover from."""

from dataclasses import dataclass

from bed.cache import GUEST_FILES

FOLDER = GUEST_FILES / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Disks of these sizes, made by recipes/NAME.sh and changed later by NAME.later.sh, if any."""

    name: str
    sizes: tuple

    @property
    def script(self):
        return (FOLDER / f"{self.name}.sh").read_text()

    @property
    def later(self):
        path = FOLDER / f"{self.name}.later.sh"
        return path.read_text() if path.exists() else None


RECIPE_LIST = (
    Recipe("gpt", ("760M",)),
    Recipe("mbr", ("220M",)),
    Recipe("whole", ("72M",)),
    Recipe("lvm", ("280M", "280M", "280M")),
    Recipe("md", ("180M", "180M", "180M", "180M")),
    Recipe("nested", ("360M",)),
    Recipe("btrfs", ("440M", "440M")),
    Recipe("odd", ("1120M",)),
    Recipe("machine", ("300M",)),
    Recipe("three", ("88M",)),
    Recipe("huge", ("5T",)),
    Recipe("rare", ("220M",)),
)
