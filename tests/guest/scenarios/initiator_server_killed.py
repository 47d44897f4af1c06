"""The server is killed under load and starts again, and so does a tunnel: all bytes are right."""

from bed.initiator import Initiator, sha256_of
from bed.patterns import random_image
from bed.resumption import BEFORE_BYTES, IMAGE_BYTES, PATIENT, READ_PIECE

LONG = True


def run(case):
    image = random_image(case.folder / "disk0.raw", IMAGE_BYTES)
    server = case.serve_images([image])
    plain, tunnelled = server.bundle("web01"), server.bundle("web01")
    tunnel = case.tunnel(tunnelled)
    initiators = [
        Initiator.of(case, plain, server.plain_port),
        Initiator.of(case, tunnelled, tunnel.port),
    ]
    for initiator in initiators:
        initiator.set(PATIENT)
        initiator.login()
    killed_and_started(server, initiators, initiators, sha256_of(image))
    assert sorted(session["tls"] for session in server.sessions()) == [False, True]
    killed_and_started(tunnel, initiators, initiators[1:], sha256_of(image))
    assert sorted(session["tls"] for session in server.sessions()) == [False, True]


def killed_and_started(process, initiators, cut_off, expected):
    """All read; the process is killed and, once those cut off have noticed, starts again."""
    readings = [initiator.read(initiator.disks()[0], READ_PIECE) for initiator in initiators]
    for reading in readings:
        reading.wait_until_read(BEFORE_BYTES)
    process.kill()
    for initiator in cut_off:
        initiator.wait_for_state("FAILED")
    process.start()
    for reading in readings:
        assert reading.end_well() == expected, "wrong data"
    for initiator in initiators:
        initiator.wait_for_state("LOGGED_IN")
