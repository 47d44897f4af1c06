# shellcheck shell=bash
# A machine as a distribution installs it: ESP, /boot, LVM with / and /var, /home on btrfs, and its fstab.
disk=$1
sgdisk --clear --new=1:0:+40M --typecode=1:ef00 --new=2:0:+24M --new=3:0:+100M --new=4:0:+120M "$disk"
parts "$disk"
modprobe btrfs
mkfs.vfat -F 32 -n ESP "${disk}1"
mkfs.ext4 -q -L BOOT "${disk}2"
pvcreate -q "${disk}3"
vgcreate -q vg0 "${disk}3"
for name in root var-log; do lvcreate -qq --wipesignatures n --size 40M --name "$name" vg0; done
mkfs.ext4 -q -L ROOT /dev/vg0/root
mkfs.ext4 -q -L VAR /dev/vg0/var-log
mkfs.btrfs -q -L HOME "${disk}4"

mkdir -p /mnt/fill
mount "${disk}4" /mnt/fill
btrfs -q subvolume create /mnt/fill/@home
umount /mnt/fill
mount /dev/vg0/root /mnt/fill
mkdir -p /mnt/fill/boot /mnt/fill/home /mnt/fill/var/log /mnt/fill/etc /mnt/fill/srv
ln -s /etc /mnt/fill/away
mount "${disk}2" /mnt/fill/boot
mkdir /mnt/fill/boot/efi
mount "${disk}1" /mnt/fill/boot/efi
mount /dev/vg0/var-log /mnt/fill/var/log
mount -o subvol=@home "${disk}4" /mnt/fill/home
cat >/mnt/fill/etc/fstab <<END
# as written by an installer
/dev/mapper/vg0-root / ext4 errors=remount-ro 0 1
UUID=$(blkid -s UUID -o value "${disk}2") /boot ext4 defaults 0 2
UUID=$(blkid -s UUID -o value "${disk}1") /boot/efi vfat umask=0077 0 1
/dev/mapper/vg0-var--log /var/log ext4 defaults 0 2
LABEL=HOME /home btrfs subvol=@home 0 0
LABEL=VAR /away/hosts ext4 defaults 0 0
UUID=00000000-0000-0000-0000-000000000000 /srv ext4 defaults 0 2
END
for place in . boot boot/efi var/log home; do echo "$place" >"/mnt/fill/$place/where"; done
mkdir -p /mnt/fill/home/user
echo "one file back" >/mnt/fill/home/user/letter.txt
umount --recursive /mnt/fill
vgchange -qq -an vg0
