# shellcheck shell=bash
# Arrays over four disks, named as their machine was: RAID 0, 1 with a member missing, 5 likewise, 6, 10; LVM on RAID 1,
# and a RAID 1 of which half was never backed up.
for disk in "$@"; do
    sgdisk --clear --new=1:0:+24M --new=2:0:+32M --new=3:0:+24M --new=4:0:+24M --new=5:0:+24M --new=6:0:+32M "$disk"
    parts "$disk"
done
make() {
    make_name=$1
    shift
    mdadm --create "/dev/md/$make_name" --quiet --run --homehost=web01 --assume-clean "$@"
}
make md0 --level=0 --raid-devices=4 "${1}1" "${2}1" "${3}1" "${4}1"
make md1 --level=1 --raid-devices=2 --bitmap=internal "${1}2" missing
make md5 --level=5 --raid-devices=3 "${1}3" missing "${3}3"
make md6 --level=6 --raid-devices=4 "${1}4" "${2}4" "${3}4" "${4}4"
make md10 --level=10 --raid-devices=4 "${1}5" "${2}5" "${3}5" "${4}5"
make pv --level=1 --raid-devices=2 --metadata=1.0 "${3}2" "${4}2"
make old --level=1 --raid-devices=2 --metadata=0.90 "${1}6" "${2}6"
# Too few members to read anything.
make lost --level=5 --raid-devices=3 "${2}2" "${2}3" "${4}3"
mdadm --quiet --stop /dev/md/lost
wipefs --quiet --all "${2}3" "${4}3"

for level in 0 1 5 6 10; do
    mkfs.ext4 -q -L "MD-RAID$level" "/dev/md/md$level"
    fill "/dev/md/md$level" unix "MD-RAID$level"
done
mkfs.ext4 -q -L MD-OLD /dev/md/old
fill /dev/md/old unix MD-OLD
pvcreate -q /dev/md/pv
vgcreate -q vg0 /dev/md/pv
lvcreate -qq --wipesignatures n --extents 100%FREE --name on-md vg0
mkfs.ext4 -q -L LV-ON-MD /dev/vg0/on-md
fill /dev/vg0/on-md unix LV-ON-MD
vgchange -qq -an vg0
mdadm --quiet --stop --scan
