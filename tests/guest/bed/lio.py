"""LIO, the kernel's own target, in the guest: a peer to hold ours against."""

INITIATOR = {"user": "lio-initiator", "secret": "initiatorsecret1"}
TARGET = {"user": "lio-target", "secret": "targetsecret0001"}
IQN = "iqn.2026-11.example:lio"
PORT = 3290

CONFIG = "/sys/kernel/config"
IMAGE = "/root/lio.img"

SET_UP = f"""
modprobe configfs; mountpoint -q {CONFIG} || mount -t configfs configfs {CONFIG}
modprobe target_core_mod; modprobe target_core_file; modprobe iscsi_target_mod
cd {CONFIG}/target
mkdir -p core/fileio_0/disk iscsi/{IQN}/tpgt_1/lun/lun_0
echo fd_dev_name={IMAGE},fd_dev_size=$(stat -c %s {IMAGE}) >core/fileio_0/disk/control
echo 1 >core/fileio_0/disk/enable
cd iscsi/{IQN}/tpgt_1
ln -s {CONFIG}/target/core/fileio_0/disk lun/lun_0/disk
mkdir np/127.0.0.1:{PORT}
acl=acls/$(sed -n 's/^InitiatorName=//p' /etc/iscsi/initiatorname.iscsi)
mkdir $acl $acl/lun_0
ln -s {CONFIG}/target/iscsi/{IQN}/tpgt_1/lun/lun_0 $acl/lun_0/disk
echo 1 >$acl/lun_0/write_protect
printf %s {INITIATOR["user"]} >$acl/auth/userid
printf %s {INITIATOR["secret"]} >$acl/auth/password
printf %s {TARGET["user"]} >$acl/auth/userid_mutual
printf %s {TARGET["secret"]} >$acl/auth/password_mutual
echo 1 >attrib/authentication
echo 1 >enable
"""

TAKE_DOWN = f"""
cd {CONFIG}/target/iscsi/{IQN}/tpgt_1
echo 0 >enable
rm acls/*/lun_0/disk lun/lun_0/disk
rmdir acls/*/lun_0 acls/* lun/lun_0 np/127.0.0.1:{PORT}
cd {CONFIG}/target
rmdir iscsi/{IQN}/tpgt_1 iscsi/{IQN} iscsi core/fileio_0/disk core/fileio_0
cd /
umount {CONFIG}
rm {IMAGE}
"""


class Lio:
    """Serves the bytes as LUN 0, read-only, with mutual CHAP, on the guest's loopback."""

    def __init__(self, case, content):
        case.shell.write(IMAGE, content)
        case.afterwards(lambda: case.shell.sh(TAKE_DOWN))
        case.shell.sh(SET_UP, limit=120)
