# shellcheck shell=bash
# What a crash leaves, and what is rare: dirty logs, an external journal, hibernated NTFS, images, foreign members.
disk=$1
sgdisk --clear --new=1:0:+64M --new=2:0:+320M --new=3:0:+40M --new=4:0:+24M --new=5:0:+32M --new=6:0:+32M \
    --new=7:0:+40M --new=8:0:+16M --new=9:0:+80M --new=10:0:+320M --new=11:0:+80M "$disk"
parts "$disk"
part() { echo "$disk$1"; }

# crash NAME: what has reached the log is there, what the log was to bring about is not.
crash() {
    echo "only the log has this" >/mnt/fill/last-words
    mkdir /mnt/fill/last-folder
    sync /mnt/fill/last-words /mnt/fill/last-folder
    xfs_io -x -c "shutdown -f" /mnt/fill
    umount /mnt/fill
    rm -rf "/run/replayed-$1" && mkdir "/run/replayed-$1"
}
mkdir -p /mnt/fill

mkfs.ext4 -q -L ODD-EXT4-DIRTY "$(part 1)"
mount "$(part 1)" /mnt/fill
python3 "$GUEST/populate.py" /mnt/fill plain
crash ext4
mkfs.xfs -q -L ODD-XFSDIRT "$(part 2)"
mount "$(part 2)" /mnt/fill
python3 "$GUEST/populate.py" /mnt/fill plain
crash xfs

mkfs.ext4 -q -O journal_dev -b 4096 "$(part 4)"
mkfs.ext4 -q -L ODD-EXT-EXTERNAL -b 4096 -J device="$(part 4)" "$(part 3)"

mkfs.ntfs --quick --quiet --label ODD-NTFS "$(part 5)"
mount -t ntfs-3g "$(part 5)" /mnt/fill
python3 "$GUEST/populate.py" /mnt/fill plain
{ printf hibr; head -c 1048572 /dev/zero; } >/mnt/fill/hiberfil.sys
note plain ODD-NTFS
umount /mnt/fill

mkfs.exfat -L ODD-EXFAT "$(part 6)"
fill "$(part 6)" plain ODD-EXFAT

mkdir /run/tree
python3 "$GUEST/populate.py" /run/tree plain
mksquashfs /run/tree /run/squash -quiet -no-progress >&2
dd if=/run/squash of="$(part 7)" bs=1M status=none
python3 "$GUEST/manifest.py" --content /run/tree >"$MANIFESTS/squashfs.json"
mkfs.vfat -F 12 -n ODD-FAT12 "$(part 8)"
fill "$(part 8)" plain ODD-FAT12 -o utf8

# A label of a ZFS pool, enough to be recognised: an uberblock array in each of the four labels.
python3 - "$(part 9)" <<'END'
import os, struct, sys
with open(sys.argv[1], "r+b") as disk:
    size = disk.seek(0, os.SEEK_END) // 262144 * 262144
    for label in (0, 262144, size - 524288, size - 262144):
        for number in range(32):
            disk.seek(label + 131072 + number * 1024)
            disk.write(struct.pack("<QQQQQ", 0x00BAB10C, 5000, number, 1, 1700000000))
END
mkfs.xfs -q -L ODD-XFSEXT -l logdev="$(part 11)",size=64m "$(part 10)"
