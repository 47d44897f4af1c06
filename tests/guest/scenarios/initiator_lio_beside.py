"""open-iscsi at LIO, the kernel's target, and here: the same is settled, the same refused."""

from bed.initiator import AUTH, Initiator, credentials, sha256_of
from bed.lio import INITIATOR, IQN, PORT, TARGET, Lio
from bed.patterns import random_image

LONG = True

ALGORITHMS = ("MD5", "SHA1", "SHA256", "SHA3-256")
DIGESTS = [(header, data) for header in ("None", "CRC32C") for data in ("None", "CRC32C")]


def run(case):
    image = random_image(case.folder / "disk0.raw", 1 << 20)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    Lio(case, image.read_bytes())
    theirs = Initiator(case.shell, IQN, PORT, "127.0.0.1")
    case.afterwards(theirs.forget)
    ours = Initiator.of(case, bundle, server.plain_port)
    at_lio = behaviour(theirs, INITIATOR, TARGET)
    here = behaviour(ours, bundle.json["initiator"], bundle.json["target"])
    expected = sha256_of(image)
    for what, found in here.items():
        assert found == at_lio[what], f"{what}: {found} here, {at_lio[what]} at LIO"
        if "digest" in found:
            assert found["digest"] == expected, f"{what}: wrong data"
    # Where the two must differ: LIO takes one-way CHAP.
    nobody = {"user": "", "secret": ""}
    theirs.set(credentials(AUTH, INITIATOR, nobody))
    theirs.login()
    ours.set(credentials(AUTH, bundle.json["initiator"], nobody))
    assert ours.try_login().status != 0, "one-way CHAP was let in"


def behaviour(initiator, own, theirs):
    """What comes of each login: name -> result."""
    right = credentials(AUTH, own, theirs)
    found = {}
    for algorithm in ALGORITHMS:
        initiator.set(right | {f"{AUTH}.chap_algs": algorithm})
        found[f"CHAP by {algorithm}"] = result(initiator)
    for header, data in DIGESTS:
        digests = {"HeaderDigest": header, "DataDigest": data}
        initiator.set({f"node.conn[0].iscsi.{name}": value for name, value in digests.items()})
        found[f"digests {header}, {data}"] = result(initiator)
    initiator.set(credentials(AUTH, {**own, "secret": "not-the-secret-1"}, theirs))
    found["the initiator's secret is wrong"] = result(initiator)
    initiator.set(credentials(AUTH, own, {**theirs, "secret": "not-the-secret-2"}))
    found["the target's secret is wrong"] = result(initiator)
    return found


def result(initiator):
    done = initiator.try_login()
    found = {"status": done.status}
    if done.status == 0:
        initiator.shell.sh("udevadm settle --timeout=120", limit=150)
        disks = initiator.disks()
        found |= initiator.settled("header_digest", "data_digest")
        found |= {"luns": sorted(disks), "digest": initiator.sha256(disks[0])}
        initiator.logout()
    return found
