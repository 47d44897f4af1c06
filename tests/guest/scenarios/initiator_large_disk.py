"""Disks over 2 TiB, of 512 and 4096 bytes a sector: right size, and right bytes at the far end."""

import base64

from bed.initiator import Initiator
from bed.patterns import sparse_image

TIB = 1 << 40
PIECE = 4096


def run(case):
    # The first block, those around 2 TiB (2^32 sectors of 512 bytes), and the last.
    sizes = [3 * TIB + 512, 15 * TIB]
    images, marks = [], []
    for number, size in enumerate(sizes):
        image = case.folder / f"disk{number}.raw"
        offsets = (0, 2 * TIB - PIECE, 2 * TIB, size - size % PIECE - PIECE)
        marks.append(sparse_image(image, size, dict.fromkeys(offsets, PIECE)))
        images.append(image)
    toml = (
        '[[disk]]\nfile = "disk0.raw"\nsector_size = 512\n'
        '[[disk]]\nfile = "disk1.raw"\nsector_size = 4096\n'
    )
    server = case.serve_images(images, toml=toml)
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    initiator.login()
    disks = initiator.disks()
    for lun, size in enumerate(sizes):
        found = case.shell.must("blockdev", "--getsize64", disks[lun]).strip()
        assert found == str(size), f"LUN {lun} has {found} bytes"
        for offset, expected in marks[lun].items():
            holds(case.shell, disks[lun], offset, expected)
        # A hole between the marks, on the far side of 2 TiB.
        holds(case.shell, disks[lun], 2 * TIB + PIECE, bytes(PIECE))


def holds(shell, device, offset, expected):
    place = f"bs={PIECE} skip={offset // PIECE} count=1"
    found = shell.sh(f"dd if={device} {place} iflag=direct status=none | base64")
    assert base64.b64decode(found) == expected, f"{device} at {offset}"
