"""From disks to mounted volumes: partitions, probing, options, folders, the table."""

import os
import threading
import unittest
from unittest import mock

from attach import make_layers, make_overlays, offer_programs, wait_for_disks
from devices import Device, decode, disk_devices, fetched
from filesystems import FileSystems, Volume
from host import Result
from layers import PartitionTables, discover
from layout import check_base, free_name, make_layout, safe
from mounting import Mounting as Mounter
from mounting import mount_problem, mounted_below, mounted_from, mounts
from outcome import Stop
from state import State
from tests.fakes import PLAN, HostCase


class Fetching(HostCase):
    def test_begin_and_end_are_asked_for_and_the_device_is_held_as_long(self):
        size = 5 << 40
        self.host.put("/dev/sdb", "content")
        devices = [Device("/dev/sdb", "root", "whole disk", size), Device("/dev/none", "root", "partition 1", 512)]
        before = os.listdir("/proc/self/fd")
        with mock.patch("os.posix_fadvise") as advise, fetched(self.host, devices):
            self.assertEqual(len(os.listdir("/proc/self/fd")), len(before) + 1)
            pieces = [call[0][1:] for call in advise.call_args_list]
        # POSIX_FADV_WILLNEED is 3 on Linux.
        self.assertEqual(pieces, [(0, 270336, 3), (size - 65536, 65536, 3)])
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_who_cannot_be_told_is_no_reason_to_fail(self):
        self.host.put("/dev/sdb", "content")
        device = Device("/dev/sdb", "root", "whole disk", 100)
        with mock.patch("os.posix_fadvise", side_effect=OSError), fetched(self.host, [device]):
            pass


class Discovery(HostCase):
    def volumes(self, names):
        overlays = make_overlays(self.host, self.talk, State(self.host, "7f3k"), "/data", 1 << 20)
        layers = make_layers(self.talk, overlays.mapper.state, overlays)
        return discover(self.host, disk_devices(self.host, PLAN, names), layers, lambda *stage: None)

    def test_partitions_whole_disks_and_what_is_neither(self):
        self.host.disk("sdb", partitions=[(1, 4096), (2, 2), (5, 8192), (6, 8192), (10, 2048)])
        self.host.disk("sdc")
        self.host.found("/dev/sdb1", ID_FS_TYPE="ext4", ID_FS_LABEL_ENC="ro\\x20ot")
        self.host.found("/dev/sdb5", ID_FS_TYPE="swap")
        self.host.found("/dev/sdb6", ID_FS_TYPE="LVM2_member")
        self.host.found("/dev/sdb10")
        self.host.found("/dev/sdc", ID_FS_TYPE="xfs", ID_FS_UUID="u")
        reports = [volume.report() for volume in self.volumes({0: "sdb", 1: "sdc"})]
        self.assertEqual(
            [report["source"] for report in reports],
            ["partition 1", "partition 5", "partition 6", "partition 10", "whole disk"],
        )
        by_source = {(report["disk"], report["source"]): report for report in reports}
        self.assertEqual(
            set(by_source),
            {
                ("root", "partition 1"),
                ("root", "partition 5"),
                ("root", "partition 6"),
                ("root", "partition 10"),
                ("data", "whole disk"),
            },
        )
        first = by_source["root", "partition 1"]
        self.assertEqual((first["fs"], first["label"], first["size"]), ("ext4", "ro ot", 4096 * 512))
        self.assertIn("swap", by_source["root", "partition 5"]["reason"])
        self.assertIn("LVM", by_source["root", "partition 6"]["reason"])
        self.assertIn("no file system", by_source["root", "partition 10"]["reason"])
        self.assertIsNone(by_source["data", "whole disk"]["reason"])

    def test_what_counts_as_missing(self):
        wanted = {"swap": False, "LVM2_member": True, "crypto_LUKS": True, "reiserfs": True, "jbd": False, "ext4": True}
        for fs, expected in wanted.items():
            self.host.found("/dev/sdc", ID_FS_TYPE=fs)
            (volume,) = FileSystems().open(self.host, [Device("/dev/sdc", "data", "whole disk", 512)])[1]
            self.assertEqual(volume.wanted, expected, fs)
            self.assertEqual(volume.is_mountable(), fs == "ext4", fs)

    def test_devices_that_cannot_be_read_or_told(self):
        for status, words in ((8, "more than one"), (4, "cannot be read"), (124, "cannot be read")):
            self.host.answer("blkid -p", Result(status, "", "gave up"))
            (volume,) = FileSystems().open(self.host, [Device("/dev/sdc", "data", "whole disk", 512)])[1]
            self.assertIn(words, volume.reason)

    def test_btrfs_over_two_disks_is_one_volume(self):
        for name in ("sdb", "sdc"):
            self.host.disk(name)
            self.host.found("/dev/" + name, ID_FS_TYPE="btrfs", ID_FS_UUID="same")
        (volume,) = self.volumes({0: "sdb", 1: "sdc"})
        report = volume.report()
        self.assertEqual((report["disk"], report["source"]), ("root + data", "whole disk"))
        self.assertEqual(report["size"], (1 << 30) + (1 << 31))

    def test_a_hybrid_iso_is_one_volume(self):
        self.host.disk("sdb", partitions=[(1, 4096)])
        self.host.found("/dev/sdb", ID_FS_TYPE="iso9660", ID_FS_LABEL_ENC="CD")
        self.host.put("/dev/sdb", "\0" * 32768 + "\1CD001\1")
        (volume,) = self.volumes({0: "sdb"})
        self.assertEqual(volume.report()["source"], "whole disk")

    def test_a_disk_with_partitions_is_not_probed_itself(self):
        self.host.disk("sdb", partitions=[(1, 4096), (2, 4096)])
        self.assertEqual(len(self.volumes({0: "sdb"})), 2)
        probed = [line.split()[-1] for line in self.host.ran if line.startswith("blkid")]
        self.assertEqual(sorted(probed), ["/dev/sdb1", "/dev/sdb2"])

    def test_four_are_probed_at_one_time_and_each_once(self):
        together = threading.Barrier(4, timeout=20)
        self.host.disk("sdb", partitions=[(number, 4096) for number in range(1, 41)])
        self.host.answer("blkid", lambda _: together.wait() < 0 or Result(2, "", ""))
        self.assertEqual(len(self.volumes({0: "sdb"})), 40)
        probed = [line.split()[-1] for line in self.host.ran if line.startswith("blkid")]
        self.assertEqual(sorted(probed), sorted("/dev/sdb{}".format(number) for number in range(1, 41)))

    def test_partitions_inside_a_mapped_device(self):
        """The kernel looks for none there; those that hold others have nothing of their own."""
        self.host.tools |= {"partx", "dmsetup"}
        self.host.found("/dev/dm-7", ID_PART_TABLE_TYPE="dos")
        rows = "1 2048 4096 0x83\n2 6144 2 0x5\n5 8192 4096 0x83\n"
        self.host.answer("partx --show", Result(0, rows, ""))

        def create(argv):
            number = argv[2][-1]
            self.host.put("/sys/class/block/dm-1{}/dm/name".format(number), argv[2] + "\n")
            self.host.put("/dev/dm-1" + number)

        self.host.answer("dmsetup create", create)
        overlays = make_overlays(self.host, self.talk, State(self.host, "7f3k"), "/data", 1 << 20)
        overlays.mapper.state.take_lock()
        layer = PartitionTables(overlays.mapper, overlays.tools)
        inside = Device("/dev/dm-7", "root", "LV vg0/disk", 1 << 23, (0, 1))
        inside.writable = True
        self.assertTrue(layer.claims(self.host, inside))
        made, volumes = layer.open(self.host, [inside])
        self.assertEqual(volumes, [])
        self.assertEqual(
            [(device.path, device.source, device.size, device.order, device.writable) for device in made],
            [
                ("/dev/dm-11", "LV vg0/disk, partition 1", 2097152, (0, 1, 1), True),
                ("/dev/dm-12", "LV vg0/disk, partition 5", 2097152, (0, 1, 5), True),
            ],
        )
        tables = [line.split("--table ")[1] for line in self.host.ran if line.startswith("dmsetup create")]
        self.assertEqual(tables, ["0 4096 linear /dev/dm-7 2048", "0 4096 linear /dev/dm-7 8192"])
        self.host.answer("partx --show", Result(1, "", "partx: cannot read"))
        made, (volume,) = layer.open(self.host, [inside])
        self.assertEqual(made, [])
        self.assertIn("cannot be read: partx: cannot read", volume.reason)
        # What is no partition table is for others.
        for fs in ("ext4", "BitLocker"):
            self.host.found("/dev/dm-8", ID_FS_TYPE=fs, ID_PART_TABLE_TYPE="dos")
            self.assertFalse(layer.claims(self.host, Device("/dev/dm-8", "root", "LV vg0/root", 1 << 23)))

    def test_a_layer_that_joins_gets_all_members_in_one_call(self):
        """What LVM will need: members from a whole disk and from a partition, opened together, before file systems."""
        calls = []

        class Joining:
            def claims(self, host, device):
                return device.probe(host).type == "LVM2_member"

            def open(self, host, devices):
                calls.append(sorted(device.name for device in devices))
                return [Device("/dev/sdd", "root + data", "volume vg/lv", 1024, (0, 1, 1))], []

        self.host.disk("sdb", partitions=[(1, 4096)])
        self.host.disk("sdc")
        self.host.disk("sdd")
        self.host.found("/dev/sdb1", ID_FS_TYPE="LVM2_member")
        self.host.found("/dev/sdc", ID_FS_TYPE="LVM2_member")
        self.host.found("/dev/sdd", ID_FS_TYPE="ext4")
        layers = (PartitionTables(None, None), Joining(), FileSystems())
        disks = disk_devices(self.host, PLAN, {0: "sdb", 1: "sdc"})
        (volume,) = discover(self.host, disks, layers, lambda *stage: None)
        self.assertEqual(calls, [["sdb1", "sdc"]])
        self.assertEqual(volume.report()["source"], "volume vg/lv")

    def test_writable_devices_are_made_read_only(self):
        self.host.disk("sdb")
        self.host.put("/sys/class/block/sdb/ro", "0")
        self.host.found("/dev/sdb", ID_FS_TYPE="ext4")
        self.volumes({0: "sdb"})
        self.assertIn("blockdev --setro /dev/sdb", self.host.ran)

    def test_labels(self):
        self.assertEqual(decode("a\\x20b\\x5cc"), "a b\\c")
        self.assertEqual(decode("\\xe6\\x9d\\xb1"), "\u6771")
        self.assertEqual(decode("\\xff"), "\ufffd")
        self.assertIsNone(decode(None))

    def test_waits_for_every_disk(self):
        self.host.session("session2", PLAN["iqn"])
        self.host.disk("sdb", session="session2", lun=0)
        with self.assertRaises(Stop) as caught:
            wait_for_disks(self.host, PLAN, lambda *stage: None)
        self.assertEqual(caught.exception.status, 3)
        self.host.disk("sdc", session="session2", lun=1)
        self.assertEqual(wait_for_disks(self.host, PLAN, lambda *stage: None), {0: "sdb", 1: "sdc"})


class Mounting(HostCase):
    def setUp(self):
        super().setUp()
        self.state = State(self.host, "7f3k")
        self.state.take_lock()
        self.host.put("/proc/filesystems", "nodev\tproc\n\text4\n\txfs\n\tbtrfs\n\tvfat\n")
        self.host.folder("/data")

    def mount(self, *types):
        volumes = [
            Volume([Device("/dev/sd" + "bcdef"[n], "d", "whole disk", 512)], fs, None, True)
            for n, fs in enumerate(types)
        ]
        make_layout(self.host, self.state, "/data", PLAN, volumes)
        self.host.ran.clear()
        self.mount_all(volumes)
        return volumes

    def mount_all(self, volumes):
        overlays = make_overlays(self.host, self.talk, self.state, "/data", 1 << 20)
        Mounter(self.host, self.state, overlays).mount_all(volumes, lambda *stage: None)

    def commands(self):
        return [line.split(" ", 1)[1] for line in self.host.ran if line.startswith("mount ")]

    def test_options(self):
        common = "ro,nosuid,nodev,noexec"
        top = "/data/web01-2026-11-20T02-00-00Z/Volume"
        self.mount("ext2", "ext4", "xfs", "btrfs", "vfat")
        self.assertEqual(
            self.commands(),
            [
                "-t ext4 -o {},errors=continue /dev/sdb {}1".format(common, top),
                "-t ext4 -o {},errors=continue /dev/sdc {}2".format(common, top),
                "-t xfs -o {},nouuid /dev/sdd {}3".format(common, top),
                "-t btrfs -o {},rescue=nologreplay,subvolid=5 /dev/sde {}4".format(common, top),
                "-t vfat -o {},utf8=1 /dev/sdf {}5".format(common, top),
            ],
        )
        self.assertEqual(len(self.state["mounts"]), 5)

    def test_only_root_gets_at_the_files(self):
        self.mount("vfat")
        mode = os.stat(self.host.at("/data/web01-2026-11-20T02-00-00Z")).st_mode
        self.assertEqual(mode & 0o777, 0o700)

    def test_a_link_put_in_the_way_is_not_followed(self):
        top = "/data/web01-2026-11-20T02-00-00Z"
        self.host.folder("/etc/Volume1")
        note = self.state.note

        def race(**facts):
            note(**facts)
            if "folder" in facts and facts["folder"]:
                os.symlink(self.host.at("/etc"), self.host.at(top))

        self.state.note = race
        with self.assertRaises(Stop) as caught:
            self.mount("ext4")
        self.assertEqual(caught.exception.status, 4)
        self.assertEqual(self.commands(), [])
        self.assertEqual(self.state["folders"], [])
        self.assertEqual(self.host.names("/etc"), ["Volume1"])

    def test_the_next_way_when_one_fails(self):
        self.host.answer(
            "mount -t btrfs -o ro,nosuid,nodev,noexec,rescue=nologreplay,subvolid=5",
            Result(32, "", "mount: /x: wrong fs type."),
        )
        (volume,) = self.mount("btrfs")
        self.assertTrue(volume.mounted)
        self.assertEqual(len(self.commands()), 2)

    def test_without_overlays_a_btrfs_that_the_host_has_mounted_is_left_alone(self):
        self.host.folder("/sys/fs/btrfs/same")
        self.host.found("/dev/sdb", ID_FS_TYPE="btrfs", ID_FS_UUID="same")
        (volume,) = self.mount("btrfs")
        self.assertFalse(volume.mounted)
        self.assertIn("btrfs file system of the same id", volume.reason)
        self.assertEqual(self.commands(), [])

    def test_all_members_are_named(self):
        devices = [Device("/dev/sdb", "d", "whole disk", 512), Device("/dev/sdc", "e", "whole disk", 512)]
        volumes = [Volume(devices, "btrfs", None, True)]
        make_layout(self.host, self.state, "/data", PLAN, volumes)
        self.mount_all(volumes)
        self.assertIn(",device=/dev/sdc /dev/sdb /data/", self.commands()[0])

    def test_a_failure_keeps_its_reason_and_leaves_no_folder(self):
        problem = "mount: /data/x y: can't read superblock on /dev/sdb.\n  dmesg(1) may"
        self.host.answer("mount", Result(32, "", problem))
        (volume,) = self.mount("ext4")
        self.assertFalse(volume.mounted)
        self.assertEqual(
            volume.reason, "cannot be mounted: can't read superblock on /dev/sdb; dmsetup is not installed"
        )
        self.assertIsNone(volume.path)
        self.assertEqual(self.host.names("/data/web01-2026-11-20T02-00-00Z"), [])
        self.assertEqual(self.state["mounts"], [])

    def test_what_the_kernel_cannot_read(self):
        self.host.answer("modprobe", Result(1, "", ""))
        (volume,) = self.mount("exfat")
        self.assertIn("this kernel cannot read exfat", volume.reason)
        self.assertEqual(self.commands(), [])

    def test_a_module_is_loaded_when_it_is_needed(self):
        self.host.answer("modprobe -q -- exfat", lambda _: self.host.put("/proc/filesystems", "\texfat\n"))
        (volume,) = self.mount("exfat")
        self.assertTrue(volume.mounted)

    def test_ntfs_by_kernel_else_by_program_else_an_offer(self):
        self.host.put("/proc/filesystems", "\tntfs3\n")
        (volume,) = self.mount("ntfs")
        self.assertEqual((volume.mounted, self.commands()[0].split()[1]), (True, "ntfs3"))
        self.host.put("/proc/filesystems", "")
        self.host.answer("modprobe", Result(1, "", ""))
        self.host.tools.add("ntfs-3g")
        (volume,) = self.mount("ntfs")
        self.assertEqual((volume.mounted, self.commands()[0].split()[1]), (True, "ntfs-3g"))
        self.host.tools.remove("ntfs-3g")
        self.host.tools.add("apt-get")
        self.host.answer("apt-get install", lambda _: self.host.tools.add("ntfs-3g") or 0)
        offer_programs(self.host, self.talk, [Volume([], "ntfs", None, True)])
        self.assertEqual(self.talk.asked, ["Install ntfs-3g with apt-get (to read ntfs)?"])
        self.assertIn("ntfs-3g", self.host.tools)

    def test_words_of_mount(self):
        self.assertEqual(mount_problem("mount: /a/b: wrong fs type, bad option.\n  dmesg"), "wrong fs type, bad option")
        self.assertEqual(mount_problem(""), "no reason given")

    def test_mountinfo(self):
        self.host.mounted(("/dev/sdb1", "/data/a b/Volume1"), ("/dev/sdb12", "/media/x"), ("/dev/sdbc", "/y"))
        self.assertEqual(mounts(self.host)[1].path, "/data/a b/Volume1")
        self.assertEqual(mounted_below(self.host, "/data/a b"), ["/data/a b/Volume1"])
        self.assertEqual(mounted_below(self.host, "/data/a"), [])
        self.assertEqual(mounted_from(self.host, ["sdb"]), ["/media/x", "/data/a b/Volume1"])
        self.assertEqual(mounted_from(self.host, []), [])


class Folders(HostCase):
    def test_names_are_safe(self):
        for text, expected in (
            ("web01", "web01"),
            ("../../etc", "etc"),
            ("a\nb c", "a-b-c"),
            ("-rf", "rf"),
            ("\u6771", "unnamed"),
            ("", "unnamed"),
            ("x" * 200, "x" * 64),
        ):
            self.assertEqual(safe(text), expected)

    def test_existing_names_are_avoided(self):
        name = "/data/web01-2026-11-20T02-00-00Z"
        self.host.folder("/data")
        self.assertEqual(free_name(self.host, "/data", PLAN), name)
        self.host.put(name)
        os.symlink("nowhere", self.host.at(name + "-2"))
        self.assertEqual(free_name(self.host, "/data", PLAN), name + "-3")

    def test_folders_that_cannot_be(self):
        self.host.folder("/data")
        self.host.put("/data/file")
        check_base(self.host, "/data/new")
        for folder in ("/none/deeper", "/data/file"):
            with self.assertRaises(Stop) as caught:
                check_base(self.host, folder)
            self.assertEqual(caught.exception.status, 1)


if __name__ == "__main__":
    unittest.main()
