"""open-iscsi with header and data digest, each on and off: what was settled, and every byte."""

from bed.initiator import Initiator, sha256_of
from bed.patterns import random_image

LONG = True

# For each of the kernel's attributes "1" is CRC32C and "0" is None.
NAMES = {"0": "None", "1": "CRC32C"}


def run(case):
    image = random_image(case.folder / "disk0.raw", 8 << 20)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    expected = sha256_of(image)
    initiator = Initiator.of(case, bundle, server.plain_port)
    for header in NAMES:
        for data in NAMES:
            initiator.set(
                {
                    "node.conn[0].iscsi.HeaderDigest": NAMES[header],
                    "node.conn[0].iscsi.DataDigest": NAMES[data],
                }
            )
            initiator.login()
            settled = initiator.settled("header_digest", "data_digest")
            assert settled == {"header_digest": header, "data_digest": data}, settled
            found = initiator.sha256(initiator.disks()[0])
            assert found == expected, f"wrong data with {settled}"
            initiator.logout()
