"""Writes an initramfs: a cpio archive in the `newc` form.

The form is described in the kernel's driver-api/early-userspace/buffer-format.
"""

import stat


def archive(entries):
    """`entries`: (path, mode, content), the mode with the file type in it."""
    out = bytearray()
    for number, (path, mode, content) in enumerate(entries, start=1):
        out += _entry(path, mode, content, number)
    out += _entry("TRAILER!!!", 0, b"", 0)
    return bytes(out)


def folder(path):
    return (path, stat.S_IFDIR | 0o755, b"")


def file(path, content, mode=0o755):
    return (path, stat.S_IFREG | mode, content)


def _entry(path, mode, content, inode):
    name = path.encode() + b"\0"
    # Fields: inode, mode, uid, gid, links, mtime, size, device (4 of them), name size, check.
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(head + name) + _padded(content)


def _padded(data):
    return data + bytes(-len(data) % 4)
