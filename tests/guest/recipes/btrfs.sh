# shellcheck shell=bash
# btrfs: one with subvolumes as a distribution makes them, one over two disks, one with an fsync that only its log has.
first=$1 second=$2
modprobe btrfs
sgdisk --clear --new=1:0:+160M --new=2:0:+120M --new=3:0:+120M "$first"
sgdisk --clear --new=1:0:+160M --new=3:0:+120M "$second"
parts "$first"
parts "$second"

mkfs.btrfs -q -L BTRFS-TWO -d raid0 -m raid1 "${first}1" "${second}1"
btrfs -q device scan "${first}1" "${second}1"
fill "${first}1" unix BTRFS-TWO

mkfs.btrfs -q -L BTRFS-SUB "${first}2"
mkdir -p /mnt/fill
mount "${first}2" /mnt/fill
for name in @ @home; do
    btrfs -q subvolume create "/mnt/fill/$name"
    python3 "$GUEST/populate.py" "/mnt/fill/$name" plain
done
note unix BTRFS-SUB
umount /mnt/fill

mkfs.btrfs -q -L BTRFS-LOG "${second}3"
mount "${second}3" /mnt/fill
python3 "$GUEST/populate.py" /mnt/fill plain
sync
echo "only the log has this" >/mnt/fill/fsynced
sync /mnt/fill/fsynced
note unix BTRFS-LOG
echo "as at a crash" >/mnt/fill/fsynced-too
sync /mnt/fill/fsynced-too
rm /mnt/fill/fsynced-too
umount /mnt/fill
