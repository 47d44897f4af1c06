"""Fills a new file system with what a backup has to bring back.

`populate.py FOLDER unix` makes owners, modes, ACLs, attributes, links, devices and holes as well;
`populate.py FOLDER plain` only files and folders, for FAT and NTFS.
"""

import os
import struct
import subprocess
import sys

MIB = 1 << 20


def plain(top):
    for path in ("Documents/2026/Reports", "empty folder", "many"):
        os.makedirs(os.path.join(top, path), exist_ok=True)
    write(top, "readme.txt", b"one file back\n")
    write(top, "empty", b"")
    write(top, "Documents/2026/Reports/Überblick – ärzte 日本語.txt", "Grüße, 世界\n".encode())
    write(top, "Documents/two  spaces & 'quotes' (1).txt", b"spaces\n")
    write(top, "Documents/" + "n" * 120 + ".bin", os.urandom(4097))
    write(top, "random 3 MiB.bin", os.urandom(3 * MIB + 17))
    for number in range(60):
        write(top, f"many/file-{number:03}.dat", os.urandom(number * 37))


def unix(top):
    plain(top)
    write(top, 'Documents/new\nline, "quote", back\\slash', b"odd name\n")
    with open(os.path.join(os.fsencode(top), b"latin-1 \xe4\xf6\xfc"), "wb") as file:
        file.write(b"a name that is no UTF-8\n")
    modes_and_owners(top)
    links_and_devices(top)
    holes(top)
    attributes(top)


def modes_and_owners(top):
    for mode in (0o400, 0o640, 0o4755, 0o2755, 0o000):
        path = write(top, f"mode-{mode:04o}", b"#!/bin/sh\nid -u\n")
        os.chown(path, 1000 + mode % 7, 2000)
        os.chmod(path, mode)
    folder = os.path.join(top, "sticky")
    os.mkdir(folder)
    os.chmod(folder, 0o3777)
    os.chown(folder, 4000000000, 33)


def links_and_devices(top):
    os.link(os.path.join(top, "readme.txt"), os.path.join(top, "Documents/readme-hard-link.txt"))
    os.symlink("readme.txt", os.path.join(top, "link"))
    os.symlink("/etc/passwd", os.path.join(top, "absolute-link"))
    os.symlink("nowhere/at all", os.path.join(top, "dangling-link"))
    os.symlink("Documents", os.path.join(top, "folder-link"))
    os.mkfifo(os.path.join(top, "fifo"), 0o600)
    os.mknod(os.path.join(top, "null"), 0o020666, os.makedev(1, 3))


def holes(top):
    with open(os.path.join(top, "sparse 40 MiB"), "wb") as file:
        file.write(b"begin")
        file.seek(20 * MIB)
        file.write(b"middle")
        file.truncate(40 * MIB)


def attributes(top):
    path = write(top, "with-attributes", b"attributes\n")
    os.setxattr(path, "user.origin", "Ärger".encode())
    os.setxattr(path, "user.binary", bytes(range(256)))
    os.setxattr(path, "trusted.note", b"root only")
    # struct vfs_cap_data, revision 2, effective: cap_net_bind_service (linux/capability.h)
    os.setxattr(path, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
    acl = write(top, "with-acl", b"acl\n")
    os.makedirs(os.path.join(top, "default-acl"))
    subprocess.run(["setfacl", "-m", "u:1234:rw,g:4321:r,m::rwx", acl], check=True)
    subprocess.run(
        ["setfacl", "-d", "-m", "u:1234:rwx,o::-", os.path.join(top, "default-acl")], check=True
    )


def write(top, path, data):
    path = os.path.join(top, path)
    with open(path, "wb") as file:
        file.write(data)
    return path


if __name__ == "__main__":
    {"unix": unix, "plain": plain}[sys.argv[2]](sys.argv[1])
