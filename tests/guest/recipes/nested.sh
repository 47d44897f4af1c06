# shellcheck shell=bash
# Encrypted volumes with the key `open sesame`, bare, with LVM inside, and inside an LV; an array of two LVs.
disk=$1
sgdisk --clear --new=1:0:+48M --new=2:0:+80M --new=3:0:+200M "$disk"
parts "$disk"
key() { printf 'open sesame'; }
lock() { key | cryptsetup luksFormat --batch-mode --type "$1" --pbkdf-force-iterations "$2" --pbkdf pbkdf2 --key-file=- "$3"; }
unlock() { key | cryptsetup open --key-file=- "$1" "$2"; }

lock luks1 1000 "${disk}1"
unlock "${disk}1" bare
# An error is to make the kernel panic, says this one, and not when it is a recovery machine's.
mkfs.ext4 -q -e panic -L LUKS1 /dev/mapper/bare
fill /dev/mapper/bare unix LUKS1
cryptsetup close bare

lock luks2 1000 "${disk}2"
unlock "${disk}2" pv
pvcreate -q /dev/mapper/pv
vgcreate -q vg0 /dev/mapper/pv
lvcreate -qq --wipesignatures n --extents 100%FREE --name root vg0
mkfs.ext4 -q -L LV-IN-LUKS2 /dev/vg0/root
fill /dev/vg0/root unix LV-IN-LUKS2
vgchange -qq -an vg0
cryptsetup close pv

pvcreate -q "${disk}3"
vgcreate -q data "${disk}3"
for name in left right; do lvcreate -qq --wipesignatures n --size 48M --name "$name" data; done
mdadm --create /dev/md/on-lvm --quiet --run --homehost=web01 --assume-clean --level=1 --raid-devices=2 \
    /dev/data/left /dev/data/right
mkfs.ext4 -q -L MD-ON-LV /dev/md/on-lvm
fill /dev/md/on-lvm unix MD-ON-LV
mdadm --quiet --stop /dev/md/on-lvm
lvcreate -qq --wipesignatures n --size 40M --name vault data
lock luks2 1000 /dev/data/vault
unlock /dev/data/vault vault
mkfs.ext4 -q -L LUKS2-ON-LV /dev/mapper/vault
fill /dev/mapper/vault unix LUKS2-ON-LV
cryptsetup close vault
vgchange -qq -an data
