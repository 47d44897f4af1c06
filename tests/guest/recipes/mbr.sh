# shellcheck shell=bash
# An MBR disk with an extended partition: ext3, then ext2, FAT16 and NTFS as logical volumes.
disk=$1
sfdisk --quiet "$disk" <<END
label: dos
1: start=2048, size=40M, type=83, bootable
2: size=150M, type=5
5: size=40M, type=83
6: size=24M, type=6
7: size=48M, type=7
END
parts "$disk"

mkfs.ext3 -q -L MBR-EXT3 "${disk}1"
fill "${disk}1" unix MBR-EXT3
mkfs.ext2 -q -b 1024 -L MBR-EXT2 "${disk}5"
fill "${disk}5" unix MBR-EXT2
mkfs.vfat -F 16 -n MBR-FAT "${disk}6"
fill "${disk}6" plain MBR-FAT -o utf8
mkfs.ntfs --quick --quiet --label MBR-NTFS "${disk}7"
fill "${disk}7" plain MBR-NTFS -t ntfs-3g
