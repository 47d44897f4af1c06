"""The room that overlays write to: sparse files without a name, behind loop devices that go with their last user.

So there is nothing to clean up: when the mapped device above is gone, the loop device lets go of the file, and a file
without a name is gone with whoever holds it, also when this process or the whole machine dies.
"""

import contextlib
import fcntl
import os
import struct

# linux/loop.h
LOOP_SET_FD = 0x4C00
LOOP_SET_STATUS64 = 0x4C04
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_AUTOCLEAR = 4
LOOP_INFO = struct.Struct("=5Q4I64s64s32s2Q")
# Somebody else may take the free device first.
LOOP_TRIES = 20

COW_TOOL_TIMEOUT = 20
# All overlays together take at most this share of the memory, or of the folder's space, that is free at the start.
SHARE_OF_ROOM = 2
# Memory is taken if it holds this many full overlays; few are ever filled to a tenth.
ROOMY = 4
# An overlay needs no more than its device is large, and a little for its own tables.
TABLES_SHARE, TABLES_BYTES = 64, 1 << 20


IN_MEMORY, IN_FOLDER = "memory", "folder"


class NoRoom(Exception):
    """No overlay can be had; the text says why and what to do."""


class CowFiles:
    """Hands out room for overlays, in memory or in the working folder, bounded for each and for all together."""

    def __init__(self, host, state, folder, size):
        self.host = host
        self.state = state
        self.folder = folder
        self.size = size  # bytes for each overlay
        self.made = 0
        self.place = None  # descriptor of the folder that the files are made in
        self.left = None  # bytes that may still be promised in the working folder; in memory the kernel counts

    @contextlib.contextmanager
    def room(self, device_bytes):
        """The path of a loop device, to be taken by somebody before the context ends."""
        size = min(self.size, device_bytes + device_bytes // TABLES_SHARE + TABLES_BYTES)
        file = self.open_file(size)
        try:
            os.ftruncate(file, size)
            path, loop = self.attach(file)
        except OSError as error:
            raise NoRoom("there is no loop device to be had ({})".format(error.strerror))
        finally:
            os.close(file)
        try:
            yield path
        finally:
            os.close(loop)

    def open_file(self, size):
        """Descriptor of a file, for root alone, that has its name for a moment only."""
        if self.place is None:
            self.choose_place()
        if self.left is not None:
            if size > self.left:
                raise NoRoom(self.no_room())
            self.left -= size
        self.made += 1
        name = "itemlift-{}-{}".format(self.state.grant, self.made)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.open(name, flags, 0o600, dir_fd=self.place)
            os.unlink(name, dir_fd=self.place)
        except OSError as error:
            raise NoRoom("its overlay cannot be made in {} ({})".format(self.folder, error.strerror))
        return file

    def choose_place(self):
        place, room = overlay_place(self.host, self.folder, self.size)
        if place is None:
            raise NoRoom(self.no_room())
        if place == IN_MEMORY:
            self.place = self.memory_folder(room)
        if self.place is None:
            self.left = free_in_folder(self.host, self.folder) // SHARE_OF_ROOM
            self.place = os.open(self.host.at(self.folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def memory_folder(self, size):
        """Descriptor of a file system in memory that only this process still reaches; None if there can be none."""
        path = "/run/itemlift/{}-overlays".format(self.state.grant)
        self.state.note(cow_folder=path)
        self.host.make_folder(path, 0o700)
        options = "size={},mode=0700,nosuid,nodev,noexec".format(size)
        words = ["mount", "-t", "tmpfs", "-o", options, "itemlift", path]
        if self.host.run(words, COW_TOOL_TIMEOUT).status != 0:
            self.host.remove_folder(path)
            return None
        place = os.open(self.host.at(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.host.run(["umount", "-l", "--", path], COW_TOOL_TIMEOUT)
        self.host.remove_folder(path)
        return place

    def no_room(self):
        return (
            "there is no room for its overlay of {} MiB in memory or in {}: free some, run the script with --into in "
            "a roomier place, or give a smaller --overlay-size".format(self.size >> 20, self.folder)
        )

    def attach(self, file):
        """Puts a loop device before the file; returns (its path, a descriptor that keeps it)."""
        if not self.host.exists("/dev/loop-control"):
            self.host.run(["modprobe", "-q", "--", "loop"], COW_TOOL_TIMEOUT)
        for last in range(LOOP_TRIES):
            control = os.open(self.host.at("/dev/loop-control"), os.O_RDWR | os.O_CLOEXEC)
            try:
                path = "/dev/loop{}".format(fcntl.ioctl(control, LOOP_CTL_GET_FREE))
            finally:
                os.close(control)
            loop = os.open(self.host.at(path), os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(loop, LOOP_SET_FD, file)
                break
            except OSError:
                os.close(loop)
                if last == LOOP_TRIES - 1:
                    raise
        info = LOOP_INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, LO_FLAGS_AUTOCLEAR, b"itemlift", b"", b"", 0, 0)
        try:
            fcntl.ioctl(loop, LOOP_SET_STATUS64, info)
        except OSError:
            os.close(loop)
            raise
        return path, loop

    def end(self):
        """No more overlays: the folder goes when the last of them does."""
        if self.place is not None:
            os.close(self.place)
            self.place = None


def overlay_place(host, folder, size):
    """(IN_MEMORY or IN_FOLDER, bytes there for all overlays together), or (None, 0) if neither has room for one."""
    memory, disk = free_memory(host) // SHARE_OF_ROOM, free_in_folder(host, folder) // SHARE_OF_ROOM
    if max(memory, disk) < size:
        return None, 0
    return (IN_MEMORY, memory) if memory >= min(disk, ROOMY * size) else (IN_FOLDER, disk)


def free_memory(host):
    lines = (host.read("/proc/meminfo") or "").splitlines()
    available = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), "0")
    return int(available) * 1024


def free_in_folder(host, folder):
    try:
        stats = os.statvfs(host.at(folder))
    except OSError:
        return 0
    return stats.f_bavail * stats.f_frsize
