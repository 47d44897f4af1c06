"""Files of a repository with flipped bytes, cut, emptied, swapped or lost: never wrong data."""

import json
import os
import shutil
import stat

from bed import VM
from case_faults import check_server
from case_life import read_what_is_left
from served import Served

ROUNDS, QUICK_ROUNDS = 4, 1
KINDS = ("data pack", "tree pack", "index", "snapshot", "key", "config")


def flipped_bytes_are_never_wrong_data(bed):
    """One bit of one file of each kind: right data, or a word about what is damaged."""
    for number in range(QUICK_ROUNDS if bed.quick else ROUNDS):
        for kind in KINDS:
            damage(bed, kind, flip, number)


def lost_files_are_never_wrong_data(bed):
    """A file of each kind that is cut, empty, another's, or not there."""
    for kind in KINDS:
        for harm in (cut, empty, swap, remove):
            damage(bed, kind, harm, 0)


def damage(bed, kind, harm, number):
    """A copy of the repository with one damaged file; everything that can be read is read."""
    name = "damaged"
    copy = bed.store.folder / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bed.store.folder / bed.repository.name, copy)
    chance = bed.random(f"{kind} {harm.__name__} {number}")
    victims = files_of(bed, copy, kind)
    victim = chance.choice(victims)
    os.chmod(victim, stat.S_IRUSR | stat.S_IWUSR)
    harm(victim, [file for file in victims if file != victim], chance)
    repository = AnotherName(bed.repository, name)
    with Served(bed, repository=repository) as server:
        told, unreadable = read_with_damage(bed, server)
        with server.reading_beside():
            pass
        check_server(server)
        if unreadable:
            named = victim.name[:8] in server.log_text()
            assert named, f"the log does not name {victim.name}:{server.tail()}"
    print(f"    {kind}, {harm.__name__}: {told}", flush=True)


def read_with_damage(bed, server):
    """What became of reading in words, and how many reads were MEDIUM ERROR."""
    if not server.points(VM):
        said = server.outcome("source", "check", "--state", server.state)
        assert said.strip(), "no recovery point, and `source check` has no word about it"
        return "no recovery point: " + said.strip().splitlines()[-1][:150], 0
    try:
        bundle = server.create_grant(VM)
    except RuntimeError as refused:
        return f"no grant: {str(refused).splitlines()[0][:150]}", 0
    counts = []
    for disk in bed.disks:
        if disk.lun >= len(bundle["disks"]):
            continue
        with server.session(bundle, disk.lun) as session:
            counts.append(read_what_is_left(session, disk.content.read_bytes()))
    told = ", ".join(f"{right} right {bad} MEDIUM ERROR" for right, bad in counts)
    return told, sum(bad for _, bad in counts)


class AnotherName:
    """A repository by another name in the same store."""

    def __init__(self, repository, name):
        self.store, self.name = repository.store, name
        self.password_file = repository.password_file


def files_of(bed, copy, kind):
    if kind == "config":
        return [copy / "config"]
    if not kind.endswith("pack"):
        folder = {"index": "index", "snapshot": "snapshots", "key": "keys"}[kind]
        return sorted((copy / folder).iterdir())
    wanted = kind.removesuffix(" pack")
    return sorted(copy / "data" / pack[:2] / pack for pack in packs(bed.repository, wanted))


def packs(repository, kind):
    """The packs that hold blobs of a kind, by the repository's index."""
    found = set()
    for index in repository.restic("list", "index").split():
        for pack in json.loads(repository.restic("cat", "index", index))["packs"]:
            if any(blob["type"] == kind for blob in pack["blobs"]):
                found.add(pack["id"])
    return found


def flip(victim, others, chance):
    data = bytearray(victim.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    victim.write_bytes(data)


def cut(victim, others, chance):
    os.truncate(victim, chance.randrange(1, victim.stat().st_size))


def empty(victim, others, chance):
    os.truncate(victim, 0)


def swap(victim, others, chance):
    """Another file of its kind under its name; a single one gets bytes of chance."""
    if others:
        shutil.copyfile(chance.choice(others), victim)
    else:
        victim.write_bytes(chance.randbytes(victim.stat().st_size))


def remove(victim, others, chance):
    victim.unlink()
