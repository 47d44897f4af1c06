"""One store with a repository in it: what every case begins with."""

import random
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import disks
from restic import Repository
from served import BESIDE, BESIDE_BYTES

VM = "web01"


@dataclass
class Bed:
    folder: Path
    store: object
    binary: Path
    seed: int
    quick: bool
    # The VM's disks as files that are backed up, and a folder of images beside the repository.
    machine: Path
    beside: Path
    repository: Repository | None = None
    snapshot: str | None = None
    # What the snapshot's disks hold, by restic.
    disks: tuple = ()

    # How often the raw disk has changed.
    grown: int = 0

    @property
    def mib(self):
        return 48 if self.quick else 96

    def random(self, of):
        """Chance that depends on nothing but the seed and what it is for."""
        return random.Random(f"{self.seed} {of}")

    def new_repository(self, name, version=2, compression="auto"):
        repository = Repository(self.store, name, self.folder, version, compression)
        return repository, repository.backup(self.machine, VM)

    def grow(self):
        """Writes something to the raw disk, each time something else."""
        self.grown += 1
        disks.grow(self.machine, self.random(f"growth {self.grown}"))

    def expected(self, repository, snapshot):
        into = self.folder / f"content-{repository.name}-{snapshot[:8]}"
        shutil.rmtree(into, ignore_errors=True)
        return disks.expected(repository, snapshot, into)


def make_bed(folder, store, options):
    machine, beside = folder / "machine", folder / "beside"
    bed = Bed(folder, store, options.binary, options.seed, options.quick, machine, beside)
    machine.mkdir()
    disks.raw_disk(machine, bed.mib)
    shutil.rmtree(machine / "tree")
    disks.chain(machine, bed.mib // 4)
    point = beside / BESIDE / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    point.mkdir(parents=True)
    (point / "disk0.raw").write_bytes(bed.random("beside").randbytes(BESIDE_BYTES))
    bed.repository, bed.snapshot = bed.new_repository("main")
    bed.disks = bed.expected(bed.repository, bed.snapshot)
    return bed
