# shellcheck shell=bash
# A GPT disk with every file system that a current Linux or Windows machine is likely to have, and two
# partitions that hold none.
disk=$1
sgdisk --clear \
    --new=1:0:+40M --typecode=1:ef00 --change-name=1:ESP \
    --new=2:0:+144M --typecode=2:8300 --change-name=2:root \
    --new=3:0:+304M --typecode=3:8300 --change-name=3:srv \
    --new=4:0:+64M --typecode=4:0700 --change-name=4:windows \
    --new=5:0:+136M --typecode=5:8300 --change-name=5:data \
    --new=6:0:+16M --typecode=6:8200 --change-name=6:swap \
    --new=7:0:+8M --typecode=7:8300 --change-name=7:blank \
    "$disk"
parts "$disk"

mkfs.vfat -F 32 -n GPT-FAT "${disk}1"
fill "${disk}1" plain GPT-FAT -o utf8
mkfs.ext4 -q -L GPT-EXT4 "${disk}2"
fill "${disk}2" unix GPT-EXT4
mkfs.xfs -q -L GPT-XFS "${disk}3"
fill "${disk}3" unix GPT-XFS
mkfs.ntfs --quick --quiet --label GPT-NTFS "${disk}4"
fill "${disk}4" plain GPT-NTFS -t ntfs-3g
mkfs.btrfs -q -L GPT-BTRFS "${disk}5"
fill "${disk}5" unix GPT-BTRFS
mkswap -q -L GPT-SWAP "${disk}6"
