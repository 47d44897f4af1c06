"""The network is lost for longer than the initiator waits: an I/O error, no hang, and later on."""

import time

from bed.initiator import Initiator, sha256_of
from bed.network import dropped
from bed.patterns import random_image
from bed.resumption import BEFORE_BYTES, IMAGE_BYTES, PATIENT, READ_PIECE

LONG = True

RECOVERY_SECONDS = 5
# Noticing it (3 s + 5 s), waiting for it, and a slow machine.
ERROR_LIMIT_SECONDS = 120


def run(case):
    image = random_image(case.folder / "disk0.raw", IMAGE_BYTES)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    initiator.set(PATIENT | {"node.session.timeo.replacement_timeout": str(RECOVERY_SECONDS)})
    initiator.login()
    device = initiator.disks()[0]
    reading = initiator.read(device, READ_PIECE)
    reading.wait_until_read(BEFORE_BYTES)
    trouble = dropped(server.plain_port)
    started = time.monotonic()
    case.shell.sh(trouble.begin)
    done = reading.end()
    took = time.monotonic() - started
    assert done.status != 0 and "Input/output error" in done.stderr, done.text
    assert RECOVERY_SECONDS <= took < ERROR_LIMIT_SECONDS, f"the error came after {took:.0f} s"
    case.shell.sh(trouble.end)
    initiator.wait_for_state("LOGGED_IN")
    case.shell.sh(f"until dd if={device} count=1 iflag=direct of=/dev/null 2>&1; do sleep 1; done")
    assert initiator.sha256(device) == sha256_of(image), "wrong data afterwards"
    case.say(f"the error came {took:.1f} s after the network went")
