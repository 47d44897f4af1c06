# shellcheck shell=bash
# The same disk a day later: some files changed, some new, some gone.
disk=$1
mkdir -p /mnt/fill
mount "$disk" /mnt/fill
echo "written on the second day" >"/mnt/fill/readme.txt"
rm -r /mnt/fill/many
head -c 5000000 /dev/urandom >"/mnt/fill/second day.bin"
dd if=/dev/urandom of="/mnt/fill/random 3 MiB.bin" bs=1000 seek=1000 count=300 conv=notrunc status=none
note unix WHOLE-EXT4
umount /mnt/fill
