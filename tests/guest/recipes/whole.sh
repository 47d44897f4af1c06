# shellcheck shell=bash
# No partition table: the file system begins at the first sector of the disk, in blocks that a disk
# with sectors of 4096 bytes can have as well.
disk=$1
mkfs.ext4 -q -F -b 4096 -L WHOLE-EXT4 "$disk"
fill "$disk" unix WHOLE-EXT4
