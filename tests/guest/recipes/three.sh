# shellcheck shell=bash
# As a snapshot of a running machine has it: ESP, /boot, and a root whose journal is to be replayed.
disk=$1
sgdisk --clear --new=1:0:+36M --typecode=1:ef00 --new=2:0:+24M --new=3:0:+24M "$disk"
parts "$disk"
mkfs.vfat -F 32 -n THREE-FAT "${disk}1"
mkfs.ext4 -q -L THREE-BOOT "${disk}2"
mkfs.ext4 -q -L THREE-ROOT "${disk}3"
mkdir -p /mnt/fill
for number in 1 2; do
    mount "${disk}$number" /mnt/fill
    head -c 1M /dev/urandom >/mnt/fill/data
    sha256sum </mnt/fill/data >/mnt/fill/digest
    umount /mnt/fill
done
mount "${disk}3" /mnt/fill
head -c 1M /dev/urandom >/mnt/fill/data
sha256sum </mnt/fill/data >/mnt/fill/digest
sync /mnt/fill/data /mnt/fill/digest
xfs_io -x -c "shutdown -f" /mnt/fill
umount /mnt/fill
