# shellcheck shell=bash
# One volume group over three disks, with a name that many machines use: an LV of each kind, and an array in an LV.
parted_pv() {
    sgdisk --clear --new=1:0:0 --typecode=1:8e00 "$1" >&2
    parts "$1"
    echo "${1}1"
}
first=$(parted_pv "$1")
second=$(parted_pv "$2")
third=$3
pvcreate -q "$first" "$second" "$third"
vgcreate -q vg0 "$first" "$second" "$third"

lvcreate -qq --wipesignatures n --size 36M --stripes 3 --name striped vg0
lvcreate -qq --wipesignatures n --size 32M --type raid1 --mirrors 1 --name raid-1 vg0
lvcreate -qq --wipesignatures n --size 32M --type mirror --mirrors 1 --name mirror vg0
lvcreate -qq --type thin-pool --size 80M --name pool vg0
lvcreate -qq --virtualsize 400M --thin --name thin vg0/pool
lvcreate -qq --wipesignatures n --size 320M --name root vg0

mkfs.xfs -q -L LV-XFS /dev/vg0/root
fill /dev/vg0/root unix LV-XFS
mkfs.ext4 -q -L LV-STRIPED /dev/vg0/striped
fill /dev/vg0/striped unix LV-STRIPED
mkfs.ext4 -q -L LV-RAID1 /dev/vg0/raid-1
fill /dev/vg0/raid-1 unix LV-RAID1
mkfs.ext4 -q -L LV-MIRROR /dev/vg0/mirror
fill /dev/vg0/mirror unix LV-MIRROR
mkfs.ext4 -q -L LV-THIN /dev/vg0/thin
fill /dev/vg0/thin unix LV-THIN
vgchange -qq -an vg0
