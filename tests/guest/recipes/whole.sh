# shellcheck shell=bash
# No partition table: the file system begins at the first sector of the disk.
disk=$1
mkfs.ext4 -q -F -L WHOLE-EXT4 "$disk"
fill "$disk" unix WHOLE-EXT4
