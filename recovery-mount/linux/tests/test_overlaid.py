"""Room for overlays, full overlays, the new id of a btrfs, taking everything down."""

import fcntl
import hashlib
import os
import struct
import unittest
from unittest import mock

import cow
from btrfs import crc32c, with_new_id
from cow import LOOP_INFO, CowFiles, NoRoom
from host import Result
from overlays import full_overlays
from state import State
from teardown import take_down
from tests.fakes import HostCase

MIB = 1 << 20


class Room(HostCase):
    def files(self, size, kilobytes):
        self.host.put("/proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   {} kB\n".format(kilobytes))
        self.host.folder("/data")
        state = State(self.host, "7f3k")
        state.take_lock()
        files = CowFiles(self.host, state, "/data", size)
        self.addCleanup(files.end)
        return files

    def place(self, files, size=MIB):
        descriptor = files.open_file(size)
        try:
            return os.readlink("/proc/self/fd/{}".format(descriptor))
        finally:
            os.close(descriptor)

    def test_in_memory_where_there_is_enough(self):
        files = self.files(MIB, 8 * 1024)
        folder = self.host.at("/run/itemlift/7f3k-overlays")
        self.host.remove_folder = lambda path: True  # the file system is still there, without its name
        self.assertEqual(self.place(files), folder + "/itemlift-7f3k-1 (deleted)")
        mount, umount = [line for line in self.host.ran if "mount" in line]
        self.assertEqual(
            mount,
            "mount -t tmpfs -o size=4194304,mode=0700,nosuid,nodev,noexec itemlift /run/itemlift/7f3k-overlays",
        )
        self.assertEqual(umount, "umount -l -- /run/itemlift/7f3k-overlays")
        self.assertIsNone(files.left)  # the kernel keeps to the size

    def test_in_the_folder_where_there_is_not(self):
        files = self.files(MIB, 4 * 1024)
        with mock.patch("cow.free_in_folder", lambda host, folder: 100 * MIB):
            for _ in range(50):
                self.assertTrue(self.place(files).startswith(self.host.at("/data/itemlift-7f3k-")))
        self.assertEqual(self.host.names("/data"), [])
        with self.assertRaisesRegex(NoRoom, "overlay of 1 MiB"):
            files.open_file(MIB)

    def test_nowhere(self):
        files = self.files(MIB, 1024)
        with mock.patch("cow.free_in_folder", lambda host, folder: MIB), self.assertRaisesRegex(NoRoom, "no room"):
            files.open_file(MIB)

    def test_as_the_kernel_lays_it_out(self):
        # struct loop_info64 of linux/loop.h is 232 bytes long; lo_flags is at 52 and lo_file_name at 56.
        self.assertEqual(LOOP_INFO.size, 232)
        done = []

        def ioctl(descriptor, request, argument=0):
            done.append((request, argument))
            return 7

        self.host.put("/dev/loop-control")
        self.host.put("/dev/loop7")
        files = self.files(MIB, 4 * 1024)
        with mock.patch.object(fcntl, "ioctl", ioctl), files.room(MIB) as path:
            self.assertEqual(path, "/dev/loop7")
        self.assertEqual([request for request, _ in done], [0x4C82, 0x4C00, 0x4C04])
        self.assertEqual(done[2][1][52:56], b"\x04\0\0\0")

    def test_a_loop_device_that_somebody_else_takes_first(self):
        tries = []

        def ioctl(descriptor, request, argument=0):
            if request == cow.LOOP_SET_FD:
                tries.append(request)
                if len(tries) < 3:
                    raise OSError(16, "Device or resource busy")
            return 7

        self.host.put("/dev/loop-control")
        self.host.put("/dev/loop7")
        with mock.patch.object(fcntl, "ioctl", ioctl), self.files(MIB, 4 * 1024).room(MIB):
            self.assertEqual(len(tries), 3)


class NewId(unittest.TestCase):
    OLD, NEW = bytes(range(16)), bytes(range(100, 116))

    def block(self, csum_type=0, incompat=0x341):
        block = bytearray(4096)
        block[0x20:0x30] = self.OLD
        block[0x40:0x48] = b"_BHRfS_M"
        block[0xBC:0xC4] = struct.pack("<Q", incompat)
        block[0xC4:0xC6] = struct.pack("<H", csum_type)
        return bytes(block)

    def test_the_old_id_becomes_the_metadata_uuid(self):
        changed, problem = with_new_id(self.block(), self.NEW)
        self.assertIsNone(problem)
        self.assertEqual(changed[0x20:0x30], self.NEW)
        self.assertEqual(changed[0x23B:0x24B], self.OLD)
        self.assertEqual(changed[0xBC:0xC4], bytes([0x41, 0x07, 0, 0, 0, 0, 0, 0]))
        self.assertEqual(changed[:4], crc32c(changed[32:]))
        self.assertEqual(changed[4:32], bytes(28))

    def test_one_that_was_changed_before_keeps_its_metadata_uuid(self):
        block = bytearray(self.block(incompat=0x741))
        block[0x23B:0x24B] = b"m" * 16
        changed, _ = with_new_id(bytes(block), self.NEW)
        self.assertEqual(changed[0x23B:0x24B], b"m" * 16)

    def test_checksums(self):
        self.assertEqual(crc32c(b"123456789"), bytes([0x83, 0x92, 0x06, 0xE3]))  # the CRC's check value
        changed, _ = with_new_id(self.block(2), self.NEW)
        self.assertEqual(changed[:32], hashlib.sha256(changed[32:]).digest())
        self.assertIn("checksums", with_new_id(self.block(1), self.NEW)[1])

    def test_no_superblock(self):
        for block in (b"", bytes(4096), self.block()[:4000]):
            self.assertIn("no btrfs superblock", with_new_id(block, self.NEW)[1])


class Full(HostCase):
    def test_invalid_and_overflowing_ones(self):
        self.host.put("/sys/class/block/dm-0/dm/name", "itemlift-7f3k-overlay1\n")
        self.host.tools.add("dmsetup")
        lines = (
            "itemlift-7f3k-overlay1: 0 2048 snapshot Invalid\n"
            "itemlift-7f3k-overlay2: 0 2048 snapshot 16/2048 16\n"
            "itemlift-7f3k-overlay3: 0 2048 snapshot Overflow\n"
            "itemlift-other-overlay1: 0 2048 snapshot Invalid\n"
            "vg0-snap: 0 2048 snapshot Invalid\n"
        )
        self.host.answer("dmsetup status", Result(0, lines, ""))
        self.assertEqual(full_overlays(self.host, "7f3k"), ["itemlift-7f3k-overlay1", "itemlift-7f3k-overlay3"])


class TakeDown(HostCase):
    """A volume group upon two overlays, one of them with an array, and a neighbour's devices."""

    def setUp(self):
        super().setUp()
        self.state = State(self.host, "7f3k")
        self.state.take_lock()
        self.host.tools |= {"dmsetup", "mdadm"}
        self.busy = set()
        self.upon = {}
        self.kernel = {}
        for name, below in (
            ("itemlift-7f3k-overlay1", ()),
            ("itemlift_7f3k_2-root", ("itemlift-7f3k-overlay1",)),
            ("itemlift-other-overlay1", ()),
            ("vg0-root", ()),
        ):
            self.add(name, below)
        self.host.put("/sys/class/block/md400/md/array_state", "read-auto")
        self.add("itemlift-7f3k-array3", ())
        self.host.put("/sys/class/block/md400/holders/dm-4")
        self.state.note(arrays=["md400"])
        self.host.answer("dmsetup remove", self.remove)
        self.host.answer("dmsetup wipe_table", self.wipe)
        self.host.answer("mdadm --stop", lambda _: self.host.delete("/sys/class/block/md400"))

    def add(self, name, below):
        kernel = self.kernel[name] = "dm-{}".format(len(self.kernel))
        self.host.put("/sys/class/block/{}/dm/name".format(kernel), name)
        self.upon[name] = below
        for other in below:
            self.host.put("/sys/class/block/{}/holders/{}".format(self.kernel[other], kernel))

    def remove(self, argv):
        for name in [word for word in argv[2:] if not word.startswith("-")]:
            if name not in self.busy:
                self.let_go(name)
                self.host.delete("/sys/class/block/" + self.kernel[name])

    def wipe(self, argv):
        self.let_go(argv[-1])

    def let_go(self, name):
        for other in self.upon[name]:
            self.host.remove("/sys/class/block/{}/holders/{}".format(self.kernel[other], self.kernel[name]))
        if name == "itemlift-7f3k-array3":
            self.host.remove("/sys/class/block/md400/holders/dm-4")

    def down(self, seconds=15):
        with self.host.within(seconds):
            return take_down(self.host, self.state)

    def names(self):
        return [
            self.host.read("/sys/class/block/{}/dm/name".format(kernel))
            for kernel in self.host.names("/sys/class/block")
        ]

    def test_from_the_top(self):
        self.assertEqual(self.down(), ([], []))
        self.assertEqual(self.names(), ["itemlift-other-overlay1", "vg0-root"])

    def test_one_in_use_is_emptied_and_goes_later(self):
        self.busy = {"itemlift_7f3k_2-root", "itemlift-7f3k-array3"}
        started = self.host.clock
        emptied, left = self.down()
        self.assertEqual((emptied, left), (["itemlift-7f3k-array3", "itemlift_7f3k_2-root"], []))
        self.assertIn("dmsetup remove --deferred --noudevsync itemlift_7f3k_2-root", self.host.ran)
        self.assertLess(self.host.clock - started, 6)
        self.assertFalse(self.host.exists("/sys/class/block/md400"))

    def test_it_ends_when_nothing_goes(self):
        self.host.answer("dmsetup", Result(1, "", "busy"))
        self.host.answer("mdadm", Result(1, "", "busy"))
        started = self.host.clock
        emptied, left = self.down(10)
        self.assertEqual(left, ["itemlift-7f3k-overlay1", "md400"])
        self.assertLess(self.host.clock - started, 11)


if __name__ == "__main__":
    unittest.main()
