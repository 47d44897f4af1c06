"""A repository in a folder of this machine."""

from pathlib import Path


class Local:
    name = "local"
    # Programs that come before those of this machine.
    path = None

    def __init__(self, folder):
        self.folder = Path(folder) / "local"

    def __enter__(self):
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *exception):
        pass

    def restic(self, name):
        return str(self.folder / name), {}

    def source(self, name):
        return {"repository": str(self.folder / name)}
