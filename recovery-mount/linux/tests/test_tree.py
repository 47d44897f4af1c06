"""The machine's own tree: fstab, names of devices, and what a hostile backup may try."""

import os
import unittest

from devices import NOTHING, Device
from filesystems import Volume
from state import State
from tests.fakes import HostCase
from tree import build_trees, is_called, parse_fstab

TOP = "/data/web01"


class Tree(HostCase):
    def setUp(self):
        super().setUp()
        self.state = State(self.host, "7f3k")
        self.state.take_lock()
        self.state.note(folder=TOP)
        self.volumes = []

    def volume(self, source, fs="ext4", order=(0,), **found):
        number = len(self.volumes) + 1
        device = Device("/dev/sdb{}".format(number), "disk", source, 1, order)
        device.found = NOTHING._replace(type=fs, **found)
        volume = Volume([device], fs, None, True)
        volume.path = "{}/Volume{}".format(TOP, number)
        volume.mounted = True
        self.host.folder(volume.path)
        self.volumes.append(volume)
        return volume

    def fstab(self, text, base=TOP + "/Volume1", places=()):
        self.host.put(base + "/etc/fstab", text)
        # What a bind mount would show at the root.
        for place in places:
            self.host.folder(TOP + "/root" + place)

    def build(self):
        # The fake machine binds nothing, so the tree's root is there from the start.
        make_folder = self.host.make_folder
        self.host.make_folder = lambda path, mode=0o755: make_folder(path, mode) or True
        trees = build_trees(self.host, self.state, self.volumes)
        binds = [line.split(" -- ")[1].replace(TOP, "") for line in self.host.ran if "--bind" in line]
        return trees, [tuple(bound.split(" /", 1)) for bound in binds]

    def test_each_volume_where_it_was(self):
        self.volume("LV vg0/root", uuid="u-root")
        self.volume("partition 2", uuid="1234-ABCD", label="BOOT")
        self.volume("LV vg0/var-log")
        self.volume("raid1 web01:srv")
        self.volume("partition 5", order=(1, 5))
        self.fstab(
            "# comment\n/dev/mapper/vg0-root / ext4 defaults 0 1\nUUID=1234-abcd /boot vfat\n"
            "/dev/mapper/vg0-var--log /var/log ext4 ro\n/dev/md/srv /srv\\040data ext4\n"
            "/dev/sdb5 /home ext4 defaults\nLABEL=NONE /opt ext4\ntmpfs /tmp tmpfs\n/dev/sda9 /gone ext4\n",
            places=("/boot", "/var/log", "/srv data", "/home", "/opt", "/tmp"),
        )
        trees, binds = self.build()
        self.assertEqual(trees, [TOP + "/root"])
        self.assertEqual(
            binds,
            [
                ("/Volume1", "root"),
                ("/Volume2", "root/boot"),
                ("/Volume4", "root/srv data"),
                ("/Volume5", "root/home"),
                ("/Volume3", "root/var/log"),
            ],
        )
        self.assertEqual(self.state["folders"], [TOP + "/root"])
        # What is mounted in the tree is not to appear in the volumes that it shows.
        made = [line for line in self.host.ran if line.startswith("mount --")]
        self.assertEqual(made[1::2], ["mount --make-private -- {}/{}".format(TOP, place) for _, place in binds])

    def test_subvolumes(self):
        self.volume("partition 1", fs="btrfs", uuid="u")
        self.host.folder(TOP + "/Volume1/@home")
        self.fstab("UUID=u /home btrfs subvol=/@home,ssd\n", TOP + "/Volume1/@", places=("/home",))
        self.assertEqual(self.build()[1], [("/Volume1/@", "root"), ("/Volume1/@home", "root/home")])

    def test_no_link_of_the_backup_is_followed(self):
        self.volume("partition 1", uuid="u")
        self.volume("partition 2", uuid="v")
        self.host.put("/outside/fstab", "UUID=v /home ext4\n")
        os.symlink(self.host.at("/outside"), self.host.at(TOP + "/Volume2/etc"))
        self.fstab("UUID=v /link/x ext4\nUUID=v /../../outside ext4\nUUID=v /home/../link ext4\n")
        self.host.folder(TOP + "/root")
        self.host.folder("/outside/x")
        os.symlink(self.host.at("/outside"), self.host.at(TOP + "/root/link"))
        self.assertEqual(self.build()[1], [("/Volume1", "root")])

    def test_no_subvolume_is_above_its_volume(self):
        self.volume("partition 1", fs="btrfs", uuid="u")
        self.host.folder("/data/outside")
        self.fstab("UUID=u /home btrfs subvol=../../outside\n", places=("/home",))
        self.assertEqual(self.build()[1], [("/Volume1", "root")])

    def test_none_without_fstab(self):
        self.volume("partition 1")
        self.assertEqual(self.build(), ([], []))

    def test_two_machines_on_one_disk(self):
        for number in (1, 2):
            self.volume("partition {}".format(number))
            self.fstab("", "{}/Volume{}".format(TOP, number))
        self.assertEqual(self.build()[0], [TOP + "/root", TOP + "/root2"])

    def test_names(self):
        volume = self.volume("partition 3", uuid="Ab-1", label="x y", part_uuid="p-1", part_label="EFI", order=(2, 3))
        for name in (
            "UUID=ab-1",
            'UUID="Ab-1"',
            "LABEL=x y",
            "PARTUUID=P-1",
            "PARTLABEL=EFI",
            "/dev/disk/by-uuid/Ab-1",
            "/dev/vdc3",
            "/dev/nvme2n1p3",
        ):
            self.assertTrue(is_called(self.host, volume, name), name)
        for name in ("UUID=", "LABEL=X Y", "PARTLABEL=", "/dev/vdb3", "/dev/disk/by-uuid/", "none", "NONSENSE=Ab-1"):
            self.assertFalse(is_called(self.host, volume, name), name)

    def test_nonsense(self):
        self.assertEqual(parse_fstab("a b\n\n#x /y ext4\n/dev/sda1 relative ext4\nx /a/../.. ext4\nx // ext4\n"), [])


if __name__ == "__main__":
    unittest.main()
