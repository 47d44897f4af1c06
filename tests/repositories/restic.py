"""Debian's restic: makes repositories, and is the oracle of what they hold."""

import json
from pathlib import Path

from daemon import must

PASSWORD = "a repository's password"


class Repository:
    """A repository of a store, by the name that it has there."""

    def __init__(self, store, name, folder, version=2, compression="auto"):
        self.store, self.name = store, name
        self.location, keys = store.restic(name)
        self.folder = Path(folder)
        self.password_file = self.folder / "restic.key"
        self.password_file.write_text(PASSWORD + "\n")
        self.compression = compression
        self.environment = {
            **keys,
            "RESTIC_PASSWORD_FILE": str(self.password_file),
            "RESTIC_CACHE_DIR": str(self.folder / "restic-cache"),
        }
        self.restic("init", "--repository-version", version)

    def restic(self, *words, **more):
        # Small packs: several of them even where disks are small.
        options = ["--pack-size", "4", "--compression", self.compression]
        command = ["restic", "--repo", self.location, *options, *words]
        return must(command, self.environment, seconds=600, **more)

    def backup(self, folder, vm, *words):
        """Backs up what is in a folder, by its names in there; gives the snapshot's id."""
        words = ["backup", "--json", "--tag", f"vm={vm}", "--host", vm, *words, "."]
        lines = self.restic(*words, folder=folder).splitlines()
        return json.loads(lines[-1])["snapshot_id"]

    def snapshots(self):
        return json.loads(self.restic("snapshots", "--json"))

    def files(self, snapshot):
        """Path and size of each file in a snapshot."""
        nodes = map(json.loads, self.restic("ls", "--json", snapshot).splitlines())
        return {node["path"]: node["size"] for node in nodes if node.get("type") == "file"}

    def dump(self, snapshot, path, into):
        """Writes a snapshot's file to a file of this machine, as restic reads it."""
        command = ["restic", "--repo", self.location, "dump", snapshot, path]
        with open(into, "wb") as out:
            must(command, self.environment, seconds=600, out=out)
        return into

    def forget(self, snapshot):
        """Removes a snapshot and at once everything that only it held."""
        self.restic("forget", "--prune", "--max-unused", "0", snapshot)
