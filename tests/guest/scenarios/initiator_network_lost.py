"""The network is lost in the middle of a read and comes back: the read goes on, all bytes right."""

from bed.initiator import Initiator
from bed.network import dropped, link_down, reset
from bed.patterns import random_image
from bed.resumption import IMAGE_BYTES, PATIENT, goes_on

LONG = True


def run(case):
    image = random_image(case.folder / "disk0.raw", IMAGE_BYTES)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    initiator.set(PATIENT)
    initiator.login()
    port = server.plain_port
    for trouble in (link_down(), dropped(port), reset(port)):
        goes_on(case, initiator, server, bundle, image, trouble)
