"""Disks with sectors of 512, 1024, 2048 and 4096 bytes, as the kernel sees them."""

from bed.initiator import Initiator, sha256_of
from bed.patterns import random_image

LONG = True

SECTORS = (512, 1024, 2048, 4096)
SIZE = 3 << 20


def run(case):
    # One sector more than whole MiB, so that the last sector is a short read of its own.
    images = [
        random_image(case.folder / f"disk{number}.raw", SIZE + sector)
        for number, sector in enumerate(SECTORS)
    ]
    toml = "".join(
        f'[[disk]]\nfile = "{image.name}"\nsector_size = {sector}\n'
        for image, sector in zip(images, SECTORS, strict=True)
    )
    server = case.serve_images(images, toml=toml)
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    initiator.login()
    disks = initiator.disks()
    assert sorted(disks) == [0, 1, 2, 3], disks
    for lun, (image, sector) in enumerate(zip(images, SECTORS, strict=True)):
        words = ("--getss", "--getsize64", "--getro")
        found = case.shell.must("blockdev", *words, disks[lun]).split()
        assert found == [str(sector), str(SIZE + sector), "1"], f"LUN {lun}: {found}"
        assert initiator.sha256(disks[lun]) == sha256_of(image), f"sectors of {sector} bytes"
        one_sector(case.shell, disks[lun], image, sector)


def one_sector(shell, device, image, sector):
    """The last sector by itself, past the page cache."""
    last = SIZE // sector
    found = shell.sh(
        f"dd if={device} bs={sector} skip={last} iflag=direct status=none | od -An -v -tx1"
    )
    expected = image.read_bytes()[-sector:]
    assert bytes.fromhex("".join(found.split())) == expected, f"the last of {sector} bytes"
