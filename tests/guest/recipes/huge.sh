# shellcheck shell=bash
# 5 TiB: one file system nearly as large, and one in its last GiB, far beyond what 32 bits of sectors reach.
disk=$1
sgdisk --clear --new=1:0:-1G --new=2:0:0 "$disk"
parts "$disk"
mkfs.xfs -q -K -l size=64m -L HUGE-XFS "${disk}1"
fill "${disk}1" unix HUGE-XFS
mkfs.ext4 -q -J size=16 -L HUGE-EXT4 "${disk}2"
fill "${disk}2" unix HUGE-EXT4
