"""What is made of several devices or of what is in one: LVM, md, encrypted containers."""

import struct
import unittest

from devices import Device
from encrypted import Crypt
from filesystems import Volume, volume_of
from host import Result
from lvm import Lvm, table_of
from mapper import Mapper
from mounting import Mounting
from overlays import Overlays
from raid import Raid, new_array_id
from state import State
from tests.fakes import OK, HostCase
from tools import Tools


class Nowhere:
    """Room for overlays without a loop device."""

    size = 1 << 20

    def __init__(self):
        self.count = 0

    def room(self, size):
        return self

    def __enter__(self):
        self.count += 1
        return "/dev/loop{}".format(self.count)

    def __exit__(self, *_):
        pass


class OnOverlays(HostCase):
    """A machine with device-mapper: what dmsetup, LVM and cryptsetup map appears in sysfs."""

    def setUp(self):
        super().setUp()
        self.host.tools |= {"dmsetup", "lvm", "mdadm", "cryptsetup"}
        self.host.answer("dmsetup create", lambda argv: self.mapped(argv[2]))
        self.state = State(self.host, "7f3k")
        self.state.take_lock()
        self.mapper = Mapper(self.host, self.state)
        self.tools = Tools(self.host, self.talk)
        self.overlays = Overlays(self.host, self.mapper, Nowhere(), self.tools)
        self.count = 0

    def mapped(self, name, sectors=2048):
        kernel = "dm-{}".format(self.count)
        self.count += 1
        self.host.put("/sys/class/block/{}/dm/name".format(kernel), name + "\n")
        self.host.put("/sys/class/block/{}/size".format(kernel), str(sectors))
        self.host.put("/dev/" + kernel)

    def member(self, name, fs, uuid="u", label=None, lun=0):
        self.host.disk(name)
        label = {"ID_FS_LABEL_ENC": label} if label else {}
        self.host.found("/dev/" + name, ID_FS_TYPE=fs, ID_FS_UUID=uuid, **label)
        return Device("/dev/" + name, "disk" + name[-1], "whole disk", 1 << 20, (lun,))

    def commands(self, tool):
        return [line for line in self.host.ran if line.split(" ")[0] == tool]


class Overlaid(OnOverlays):
    def test_one_for_each_device(self):
        device = self.member("sdb", "ext4")
        over = self.overlays.over(device)
        self.assertEqual(
            self.commands("dmsetup"),
            ["dmsetup create itemlift-7f3k-overlay1 --noudevsync --table 0 2048 snapshot /dev/sdb /dev/loop1 P 32"],
        )
        self.assertEqual((over.path, over.writable), ("/dev/dm-0", True))
        self.assertIs(self.overlays.over(device), over)
        self.assertIs(self.overlays.over(over), over)
        self.assertEqual(self.state["overlays"], {"itemlift-7f3k-overlay1": "diskb, whole disk"})

    def test_without_dm_snapshot_nothing_is_tried_twice(self):
        self.host.answer("dmsetup create", Result(1, "", "device-mapper: reload ioctl on x failed: Invalid argument"))
        for name in ("sdb", "sdc"):
            with self.assertRaisesRegex(Exception, "this kernel has no dm-snapshot"):
                self.overlays.over(self.member(name, "ext4"))
        self.assertEqual(len(self.commands("dmsetup")), 1)

    def test_dmsetup_is_offered_once(self):
        self.host.tools.remove("dmsetup")
        self.talk.answer = False
        self.host.tools.add("apt-get")
        for name in ("sdb", "sdc"):
            with self.assertRaisesRegex(Exception, "dmsetup is not installed"):
                self.overlays.over(self.member(name, "ext4"))
        self.assertEqual(len(self.talk.asked), 1)


class Replayed(OnOverlays):
    """Mounting what has a journal."""

    def setUp(self):
        super().setUp()
        self.host.put("/proc/filesystems", "\text4\n\txfs\n\tbtrfs\n")
        self.host.answer("mount", Result(32, "", "mount: /x: cannot mount /dev/sdb read-only."))

    def mount(self, fs="ext4"):
        volume = Volume([self.member("sdb", fs)], fs, None, True)
        volume.path = "/data/Volume1"
        Mounting(self.host, self.state, self.overlays).mount_all([volume], lambda *stage: None)
        return volume

    def mounts(self):
        return [line.split(" -o ro,nosuid,nodev,noexec")[1] for line in self.commands("mount")]

    def test_on_an_overlay_when_the_device_is_not_enough(self):
        self.host.answer("mount -t ext4 -o ro,nosuid,nodev,noexec,errors=continue /dev/dm-0", OK)
        volume = self.mount()
        # Whatever the file system says of errors itself: a kernel that panics helps nobody.
        words = [",errors=continue /dev/sdb /data/Volume1", ",errors=continue /dev/dm-0 /data/Volume1"]
        self.assertEqual(self.mounts(), words)
        self.assertEqual((volume.mounted, volume.remark), (True, None))

    def test_at_once_on_an_overlay_when_the_superblock_says_so(self):
        # s_feature_incompat with extents, 64bit, flex_bg; then with a journal to be replayed.
        for name, incompat, tried in (("sdb", 0x2C0, ["/dev/sdb", "/dev/dm-0"]), ("sdc", 0x2C4, ["/dev/dm-1"])):
            with self.subTest(incompat=incompat):
                device = self.member(name, "ext4")
                block = bytearray(2048)
                block[1024 + 0x5C : 1024 + 0x64] = struct.pack("<II", 0x3C, incompat)
                block[1024 + 0xE0] = 8
                with open(self.host.at(device.path), "wb") as file:
                    file.write(block)
                volume = volume_of(self.host, device, device.probe(self.host))
                volume.path = "/data/Volume1"
                self.host.ran.clear()
                self.host.answer("mount -t ext4 -o ro,nosuid,nodev,noexec,errors=continue " + tried[-1], OK)
                Mounting(self.host, self.state, self.overlays).mount_all([volume], lambda *stage: None)
                self.assertTrue(volume.mounted)
                self.assertEqual([line.split()[-2] for line in self.commands("mount")], tried)

    def test_without_replay_when_the_overlay_is_too_small(self):
        self.host.answer("mount -t xfs -o ro,nosuid,nodev,noexec,norecovery,nouuid /dev/sdb", OK)
        self.host.answer("dmsetup status", Result(0, "itemlift-7f3k-overlay1: 0 2048 snapshot Invalid\n", ""))
        volume = self.mount("xfs")
        self.assertTrue(volume.mounted)
        self.assertIn("its journal is not replayed", volume.report()["reason"])
        self.assertIn("its overlay of 1 MiB is too small: use --overlay-size 4M or more", volume.remark)
        self.assertIn("dmsetup remove --noudevsync itemlift-7f3k-overlay1", self.host.ran)

    def test_what_is_made_of_overlays_is_mounted_as_it_is(self):
        over = self.overlays.over(self.member("sdb", "ext4"))
        volume = Volume([over], "ext4", None, True)
        volume.path = "/data/Volume1"
        Mounting(self.host, self.state, self.overlays).mount_all([volume], lambda *stage: None)
        words = [",errors=continue /dev/dm-0 /data/Volume1", ",errors=continue,noload /dev/dm-0 /data/Volume1"]
        self.assertEqual(self.mounts(), words)

    def test_a_btrfs_gets_another_id_first(self):
        block = bytearray(4096)
        block[0x40:0x48] = b"_BHRfS_M"

        def created(argv):
            self.mapped(argv[2])
            with open(self.host.at("/dev/dm-0"), "wb") as file:
                file.write(bytes(65536) + block)

        self.host.answer("dmsetup create", created)
        self.host.answer("mount -t btrfs -o ro,nosuid,nodev,noexec,subvolid=5 /dev/dm-0", OK)
        self.assertTrue(self.mount("btrfs").mounted)
        self.assertNotEqual(self.host.read_bytes("/dev/dm-0", 65536, 4096), bytes(block))
        self.assertEqual(self.state["btrfs"], ["/dev/dm-0"])


class Groups(OnOverlays):
    ROWS = "  /dev/dm-0|uuid-1|vg0||0|\n  /dev/dm-1|uuid-1|vg0||0|\n  /dev/dm-2|uuid-2|vg0|other|0|exported\n"

    def open(self, rows=ROWS, names="bcd"):
        members = [self.member("sd" + letter, "LVM2_member", lun=lun) for lun, letter in enumerate(names)]
        self.host.answer("lvm pvs", Result(0, rows, ""))
        self.host.answer("lvm lvs", self.lvs)
        return Lvm(self.mapper, self.overlays, self.tools).open(self.host, members)

    def lvs(self, argv):
        group = argv[-1]
        for name in ("root", "on--md"):
            self.mapped("{}-{}".format(group, name))
        line = "  {0}|-wi-a-----|/dev/mapper/{1}-{2}\n"
        rows = line.format("root", group, "root") + line.format("on-md", group, "on--md").replace("-wi", "rwi")
        return Result(0, rows + "  pool|twi-aotz--|/dev/mapper/x\n", "")

    def test_two_groups_of_one_name(self):
        made, volumes = self.open()
        self.assertEqual(volumes, [])
        self.assertEqual(
            [(device.source, device.disk) for device in made],
            [("LV vg0/root", "diskb + diskc"), ("LV vg0/on-md", "diskb + diskc")]
            + [("LV vg0/root", "diskd"), ("LV vg0/on-md", "diskd")],
        )
        self.assertTrue(all(device.writable for device in made))
        clones = [line for line in self.commands("lvm") if "vgimportclone" in line]
        self.assertTrue(clones[0].endswith("--basevgname itemlift_7f3k_4 /dev/dm-0 /dev/dm-1"), clones)
        self.assertTrue(clones[1].endswith("--basevgname itemlift_7f3k_5 --import /dev/dm-2"), clones)
        self.assertIn('extra_system_ids=["other"]', clones[1])
        # What is out of step stays so.
        messages = [line for line in self.host.ran if line.startswith("dmsetup message")]
        self.assertEqual(messages[0], "dmsetup message itemlift_7f3k_4-on--md 0 frozen")

    def test_lvm_sees_the_overlays_alone(self):
        self.open()
        for line in self.commands("lvm"):
            self.assertIn('"r|.*|"] global_filter=["a|^/dev/dm-', line)
            self.assertNotIn("/dev/sd", line)

    def test_what_belongs_to_no_group_is_told(self):
        made, volumes = self.open("  /dev/dm-0|||||\n  /dev/dm-1||||0|\n")
        self.assertEqual((made, len(volumes)), ([], 3))
        for volume in volumes:  # LVM did not speak of the third at all
            self.assertIn("belongs to no volume group", volume.reason)
        self.assertFalse([line for line in self.commands("lvm") if "vgchange" in line])

    def test_what_lies_on_a_missing_disk_is_given_up_and_told(self):
        sizes = "  root|-wi-------|4096\n  spanned|-wi-----p-|8192\n  pool|twi---tz--|4096\n"
        self.host.answer("lvm vgreduce", lambda _: self.host.answer("lvm lvs --config", self.rest))
        rows = "  /dev/dm-0|uuid-1|vg0||1|\n"
        self.host.answer("lvm pvs", Result(0, rows, ""))
        self.host.answer("lvm lvs", lambda argv: Result(0, sizes, "") if "--units" in argv else self.lvs(argv))
        member = self.member("sdb", "LVM2_member")
        made, (lost,) = Lvm(self.mapper, self.overlays, self.tools).open(self.host, [member])
        self.assertEqual([device.source for device in made], ["LV vg0/root", "LV vg0/on-md"])
        report = lost.report()
        self.assertEqual((report["source"], report["size"], report["disk"]), ("LV vg0/spanned", 8192, "diskb"))
        self.assertIn("lies partly on a disk that is not in this recovery point", report["reason"])
        self.assertTrue(lost.wanted)
        order = [line.split(" ")[1] for line in self.commands("lvm")]
        self.assertEqual(order, ["pvs", "lvs", "vgreduce", "lvs", "vgimportclone", "vgchange", "lvs"])
        (reduced,) = [line for line in self.commands("lvm") if "vgreduce" in line]
        self.assertTrue(reduced.endswith("--yes --force --removemissing vg0"), reduced)

    def rest(self, argv):
        return Result(0, "  root|-wi-------|4096\n", "") if "--units" in argv else self.lvs(argv)

    def test_a_group_that_cannot_be_renamed(self):
        self.host.answer("lvm vgimportclone", Result(5, "", "  WARNING: x\n  Failed to read VG vg0.\n"))
        made, volumes = self.open()
        self.assertEqual((made, len(volumes)), ([], 2))
        self.assertTrue(volumes[0].reason.endswith("cannot be renamed: Failed to read VG vg0"), volumes[0].reason)

    def test_a_report_with_other_lines_in_it(self):
        self.assertEqual(table_of(Result(0, "\n  a|b \nnoise\n | \n", "")), [["a", "b"], ["", ""]])


class Arrays(OnOverlays):
    def setUp(self):
        super().setUp()
        self.status = 0
        self.host.answer("mdadm --assemble", self.assembled)
        self.host.answer("mdadm --stop", lambda argv: self.host.delete("/sys/class/block/" + argv[-1][5:]))
        self.host.disk("md400")
        self.host.folder("/run/udev/rules.d")

    def assembled(self, argv):
        base = "/sys/class/block/" + argv[2][5:]
        self.host.put(base + "/md/array_state", "inactive" if self.status else "read-auto")
        self.host.put(base + "/md/level", "raid5\n")
        self.host.put(base + "/md/sync_action", "idle")
        self.host.put(base + "/size", "0" if self.status else "4096")
        return Result(self.status, "", "mdadm: not enough to start the array.\n" if self.status else "")

    def open(self, *members):
        return Raid(self.state, self.mapper, self.overlays, self.tools).open(self.host, list(members))

    def test_members_by_their_array(self):
        first = [
            self.member("sd" + letter, "linux_raid_member", "one", "web01:5", lun) for lun, letter in enumerate("bc")
        ]
        made, volumes = self.open(*first + [self.member("sdd", "linux_raid_member", "two", None, 2)])
        self.assertEqual(volumes, [])
        self.assertEqual([device.source for device in made], ["raid5 web01:5", "raid5 md402"])
        self.assertEqual(made[0].disk, "diskb + diskc")
        command = self.commands("mdadm")[0]
        self.assertRegex(
            command,
            "^mdadm --assemble /dev/md401 --config=none --run --update=uuid --uuid=[0-9a-f:]{35} /dev/dm-0 /dev/dm-1$",
        )
        self.assertEqual(self.host.read("/sys/class/block/md401/md/sync_action"), "frozen")
        # The rules come first, and what is mounted can be emptied.
        rules = [name for name in self.host.names("/run/udev/rules.d") if "md401" in name]
        self.assertEqual(len(rules), 3)
        self.assertIn("linear /dev/md401 0", self.commands("dmsetup")[2])
        self.assertEqual(self.state["arrays"], ["md401", "md402"])

    def test_too_few_members(self):
        self.status = 1
        made, (volume,) = self.open(self.member("sdb", "linux_raid_member", "one", "web01:5"))
        self.assertEqual(made, [])
        self.assertIn("does not start with the member that is here (not enough to start the array)", volume.reason)
        self.assertIn("mdadm --stop /dev/md401", self.host.ran)

    def test_ids(self):
        self.assertRegex(new_array_id(), "^([0-9a-f]{8}:){3}[0-9a-f]{8}$")
        self.assertNotEqual(new_array_id(), new_array_id())


class Containers(OnOverlays):
    def setUp(self):
        super().setUp()
        self.given = []
        self.host.answer("cryptsetup open", self.unlock)
        run = self.host.run

        def recording(argv, timeout, stdin=None, variables=None):
            self.given.append(stdin)
            return run(argv, timeout, stdin, variables)

        self.host.run = recording

    def unlock(self, argv):
        if self.given[-1] != "sesame":
            return Result(2, "", "No key available with this passphrase.")
        self.mapped(argv[-1])
        return Result(0, "", "")

    def open(self, fs="crypto_LUKS"):
        layer = Crypt(self.mapper, self.overlays, self.tools, self.talk)
        return layer.open(self.host, [self.member("sdb", fs, label="vault")])

    def test_the_key_goes_through_a_pipe(self):
        self.talk.keys = ["wrong", "sesame"]
        (device,), volumes = self.open()
        self.assertEqual((volumes, device.source, device.writable), ([], "whole disk, decrypted", True))
        self.assertIn("diskb, whole disk (vault)", self.talk.asked[0])
        self.assertEqual(
            self.commands("cryptsetup")[-1],
            "cryptsetup open --type luks --key-file=- /dev/dm-0 itemlift-7f3k-plain3",
        )
        self.assertNotIn("sesame", " ".join(self.host.ran) + self.host.read(self.state.path) + self.talk.text)

    def test_no_key_and_wrong_keys(self):
        self.assertIn("no key was given", self.open()[1][0].reason)
        self.talk.keys = ["a", "b", "c", "sesame"]
        self.assertIn("the key is wrong", self.open("BitLocker")[1][0].reason)
        self.assertIn("--type bitlk", self.commands("cryptsetup")[0])

    def test_a_wrong_key_of_bitlocker_is_told_from_other_failures(self):
        for problem, tries in (("", 3), ("Activation of partially decrypted BITLK device is not supported.", 1)):
            self.host.ran.clear()
            self.host.answer("cryptsetup open --type bitlk", Result(1, "", problem))
            self.talk.keys = ["a", "b", "c"]
            (volume,) = self.open("BitLocker")[1]
            self.assertEqual(len(self.commands("cryptsetup")), tries)
            self.assertIn(problem or "the key is wrong", volume.reason)

    def test_without_overlays_read_only(self):
        self.host.answer("dmsetup create", Result(1, "", "unknown target type"))
        self.talk.keys = ["sesame"]
        (device,), _ = self.open()
        self.assertFalse(device.writable)
        self.assertIn("--readonly /dev/sdb", self.commands("cryptsetup")[0])


if __name__ == "__main__":
    unittest.main()
