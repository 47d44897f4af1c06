# shellcheck shell=bash
# Disks inside of what is on disks: partition tables in an LV and in a LUKS container (key `open sesame`); NTFS that was
# not unmounted; an ISO image; BitLocker.
disk=$1
sgdisk --clear --new=1:0:+80M --new=2:0:+48M --new=3:0:+24M --new=4:0:+16M --new=5:0:+40M "$disk"
parts "$disk"
key() { printf 'open sesame'; }

# inside DEVICE: a loop device that shows the partitions inside it.
inside() {
    udevadm settle
    losetup --find --partscan --show "$1"
    udevadm settle
}

pvcreate -q "${disk}1"
vgcreate -q nest "${disk}1"
lvcreate -qq --wipesignatures n --size 60M --name machine nest
printf '%s\n' 'size=24M, type=83' 'size=28M, type=5' 'size=24M, type=83' | sfdisk -q --label dos /dev/nest/machine
loop=$(inside /dev/nest/machine)
mkfs.ext4 -q -L RARE-PRIMARY "${loop}p1"
fill "${loop}p1" unix RARE-PRIMARY
mkfs.ext4 -q -L RARE-LOGICAL "${loop}p5"
fill "${loop}p5" unix RARE-LOGICAL
losetup --detach "$loop"
vgchange -qq -an nest

key | cryptsetup luksFormat --batch-mode --type luks1 --pbkdf-force-iterations 1000 --key-file=- "${disk}2"
key | cryptsetup open --key-file=- "${disk}2" vault
sgdisk --clear --new=1:0:0 /dev/mapper/vault
loop=$(inside /dev/mapper/vault)
mkfs.ext4 -q -L RARE-IN-LUKS "${loop}p1"
fill "${loop}p1" unix RARE-IN-LUKS
losetup --detach "$loop"
cryptsetup close vault

mkfs.ntfs --quick --quiet --label RARE-NTFS "${disk}3"
fill "${disk}3" plain RARE-NTFS -t ntfs-3g
# VOLUME_IS_DIRTY in the flags of $VOLUME_INFORMATION (attribute 0x70) of $Volume, the fourth record of the MFT.
python3 - "${disk}3" <<'END'
import struct, sys
with open(sys.argv[1], "r+b") as disk:
    boot = disk.read(512)
    sector, clusters = struct.unpack_from("<HB", boot, 11)
    at = struct.unpack_from("<Q", boot, 48)[0] * sector * clusters + 3 * 1024
    disk.seek(at)
    record = bytearray(disk.read(1024))
    offset = struct.unpack_from("<H", record, 20)[0]
    while struct.unpack_from("<I", record, offset)[0] != 0x70:
        offset += struct.unpack_from("<I", record, offset + 4)[0]
    record[offset + struct.unpack_from("<H", record, offset + 20)[0] + 10] |= 1
    disk.seek(at)
    disk.write(record)
END

mkdir /run/tree
python3 "$GUEST/populate.py" /run/tree plain
genisoimage -quiet -r -J -V RARE-ISO -o /run/image.iso /run/tree
dd if=/run/image.iso of="${disk}4" bs=1M status=none
python3 "$GUEST/manifest.py" --content /run/tree >"$MANIFESTS/iso9660.json"

python3 "$GUEST/bitlocker.py" "${disk}5"
key | cryptsetup open --type bitlk --key-file=- "${disk}5" windows
# What Windows keeps for itself lies in the last MiB.
mkfs.ntfs --quick --quiet --label RARE-BITLOCKER /dev/mapper/windows $((38 << 11))
fill /dev/mapper/windows plain RARE-BITLOCKER -t ntfs-3g
cryptsetup close windows
