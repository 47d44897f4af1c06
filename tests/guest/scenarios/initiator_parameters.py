"""InitialR2T, ImmediateData and lengths of other initiators: what is settled, reads and writes."""

from bed.initiator import Initiator, sha256_of
from bed.patterns import random_image

LONG = True

ISCSI = "node.session.iscsi"
LENGTH = "node.conn[0].iscsi.MaxRecvDataSegmentLength"

# RFC 7143 §13.10, §13.11: `or` and `and` of both sides, and ours are Yes and No.
SETTLED = {"initial_r2t": "1", "immediate_data": "0"}

# MaxRecvDataSegmentLength, MaxBurstLength: the smallest, those of Windows, odd ones, large ones.
LENGTHS = ((512, 512), (65536, 262144), (4100, 12292), (262144, 16776192))

# WRITE (10) of 8 blocks of 512 bytes at block 0.
WRITE = "2a000000000000000800"
# Fixed format: DATA PROTECT, WRITE PROTECTED.
KEY_AND_CODES = ("07", "27", "00")


def run(case):
    image = random_image(case.folder / "disk0.raw", 4 << 20)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    variants = [(r2t, immediate) for r2t in ("Yes", "No") for immediate in ("Yes", "No")]
    for (r2t, immediate), (segment, burst) in zip(variants, LENGTHS, strict=True):
        settings = {
            f"{ISCSI}.InitialR2T": r2t,
            f"{ISCSI}.ImmediateData": immediate,
            f"{ISCSI}.MaxBurstLength": str(burst),
            f"{ISCSI}.FirstBurstLength": str(min(burst, 65536)),
            LENGTH: str(segment),
        }
        initiator.set(settings)
        initiator.login()
        expected = SETTLED | {"max_recv_dlength": str(segment), "max_burst_len": str(burst)}
        settled = initiator.settled(*expected)
        assert settled == expected, f"{settings}: {settled}"
        device = initiator.disks()[0]
        write_is_refused(case.shell, device, settings)
        assert initiator.sha256(device) == sha256_of(image), f"wrong data with {settings}"
        initiator.logout()
    logins = len(server.audit("login", bundle))
    assert logins == len(variants), f"{logins} logins: a session did not outlive its write"


def write_is_refused(shell, device, settings):
    sense = shell.must(
        "python3", "/usr/local/lib/guest/scsi_write.py", device, WRITE, "4096"
    ).split()
    found = sense[2], sense[12], sense[13]
    assert found == KEY_AND_CODES, f"{settings}: the write ended with {sense}"
