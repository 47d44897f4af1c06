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
    original = Original(bed, "flipped")
    for number in range(QUICK_ROUNDS if bed.quick else ROUNDS):
        for kind in KINDS:
            damage(bed, original, kind, flip, number)


def lost_files_are_never_wrong_data(bed):
    """A file of each kind that is cut, empty, another's, or not there."""
    original = Original(bed, "lost")
    for kind in KINDS:
        for harm in (cut, empty, swap, remove):
            damage(bed, original, kind, harm, 0)


class Original:
    """A repository with two snapshots, and what the disks of each hold."""

    def __init__(self, bed, name):
        self.repository, older = bed.new_repository(name)
        self.contents = {older[:8]: bed.expected(self.repository, older)}
        bed.grow()
        newer = self.repository.backup(bed.machine, VM)
        self.contents[newer[:8]] = bed.expected(self.repository, newer)
        self.folder = bed.store.folder / name

    def of(self, point):
        """The disks of a point, whose name ends with its snapshot's."""
        return self.contents[point["point"].rpartition("-")[2]]


def damage(bed, original, kind, harm, number):
    """A copy of the repository with one damaged file; everything that can be read is read."""
    name = "damaged"
    copy = bed.store.folder / name
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(original.folder, copy)
    chance = bed.random(f"{kind} {harm.__name__} {number}")
    victims = files_of(original.repository, copy, kind)
    victim = chance.choice(victims)
    os.chmod(victim, stat.S_IRUSR | stat.S_IWUSR)
    harm(victim, [file for file in victims if file != victim], chance)
    with Served(bed, repository=AnotherName(original.repository, name)) as server:
        points = server.points(VM)
        told, unreadable = [], 0
        for point in points:
            outcome, failed = read_with_damage(server, point, original.of(point))
            told.append(outcome)
            unreadable += failed
        with server.reading_beside():
            pass
        check_server(server)
        check_words(server, victim, harm, len(points) < len(original.contents), unreadable)
        # One damaged snapshot is one damaged snapshot.
        assert points or kind != "snapshot", "the other snapshot is gone as well"
    print(f"    {kind}, {harm.__name__}: {'; '.join(told) or 'no recovery point'}", flush=True)


def check_words(server, victim, harm, fewer_points, unreadable):
    """What is damaged is named: reads in the log, points in `source check`."""
    named = victim.name[:8]
    if unreadable:
        assert named in server.log_text(), f"the log does not name {victim.name}:{server.tail()}"
    # A snapshot that is not there is one that was forgotten.
    if fewer_points and not (victim.parent.name == "snapshots" and harm is remove):
        said = server.outcome("source", "check", "--state", server.state)
        # A key that opens nothing may as well be the password's fault.
        nameless = harm in (swap, remove) or victim.parent.name == "keys"
        assert named in said or nameless, f"{victim.name} is not named: {said}"
        assert "; " in said, f"no advice: {said}"


def read_with_damage(server, point, expected):
    """What became of reading a point in words, and how many reads were MEDIUM ERROR."""
    try:
        bundle = server.create_grant(VM, point["point"])
    except RuntimeError as refused:
        return f"no grant: {str(refused).splitlines()[0][:150]}", 0
    served = {disk["lun"] for disk in bundle["disks"]}
    told, unreadable = [], 0
    for disk in expected:
        if disk.lun not in served:
            told.append("not served")
            continue
        with server.session(bundle, disk.lun) as session:
            right, bad = read_what_is_left(session, disk.content.read_bytes())
        told.append(f"{right} right {bad} unreadable")
        unreadable += bad
    return ", ".join(told), unreadable


class AnotherName:
    """A repository by another name in the same store."""

    def __init__(self, repository, name):
        self.store, self.name = repository.store, name
        self.password_file = repository.password_file


def files_of(repository, copy, kind):
    if kind == "config":
        return [copy / "config"]
    if not kind.endswith("pack"):
        folder = {"index": "index", "snapshot": "snapshots", "key": "keys"}[kind]
        return sorted((copy / folder).iterdir())
    wanted = kind.removesuffix(" pack")
    return sorted(copy / "data" / pack[:2] / pack for pack in packs(repository, wanted))


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
