"""255 disks in a recovery point: each is there, of its size, with its bytes, and goes at logout."""

import hashlib
import time

from bed.initiator import Initiator
from bed.leaks import HostState
from bed.patterns import sparse_image

LONG = True

DISKS = 255
PIECE = 4096
# Each disk has its turn with udev's programs, in an emulated machine.
ATTACH_LIMIT_SECONDS = 1200
FOUND_LIMIT_SECONDS = 60


def run(case):
    images, expected = [], []
    for number in range(DISKS):
        image = case.folder / f"disk{number}.raw"
        # Sizes and places differ, so that two disks that were mixed up are told.
        size, offset = (1 << 20) + number * PIECE, number * PIECE
        (data,) = sparse_image(image, size, {offset: PIECE}).values()
        images.append(image)
        expected.append(f"{size} {hashlib.sha256(data).hexdigest()}")
    server = case.serve_images(images)
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    before = HostState(case.shell)
    started = time.monotonic()
    disks = attach(case.shell, initiator)
    attached = time.monotonic() - started
    assert sorted(disks) == list(range(DISKS)), f"{len(disks)} disks: {sorted(disks)}"
    found = case.shell.sh(
        "\n".join(
            f"echo $(blockdev --getsize64 {disks[lun]}) $({one_block(disks[lun], lun)} | sha256sum)"
            for lun in range(DISKS)
        ),
        limit=ATTACH_LIMIT_SECONDS,
    ).splitlines()
    wrong = [lun for lun in range(DISKS) if found[lun].rpartition(" ")[0].strip() != expected[lun]]
    assert not wrong, f"LUNs {wrong}: {found[wrong[0]]} instead of {expected[wrong[0]]}"
    started = time.monotonic()
    initiator.logout(limit=ATTACH_LIMIT_SECONDS)
    case.say(f"attached in {attached:.1f} s, logged out in {time.monotonic() - started:.1f} s")
    left = before.changes(settle=60)
    assert not left, "left behind:\n  " + "\n  ".join(left)


def one_block(device, number):
    return f"dd if={device} bs={PIECE} skip={number} count=1 iflag=direct status=none"


def attach(shell, initiator):
    """Logs in and waits until the kernel has found all disks and udev has seen them."""
    done = initiator.try_login(limit=ATTACH_LIMIT_SECONDS)
    assert done.status == 0, done.text
    shell.sh(f"udevadm settle --timeout={ATTACH_LIMIT_SECONDS}", limit=ATTACH_LIMIT_SECONDS)
    deadline = time.monotonic() + FOUND_LIMIT_SECONDS
    while len(disks := initiator.disks()) < DISKS and time.monotonic() < deadline:
        time.sleep(1)
    return disks
