"""open-iscsi with each of the four CHAP algorithms, mutual; the strongest of several; no MD5."""

from bed.initiator import AUTH, AUTHENTICATION_FAILED, Initiator, sha256_of
from bed.patterns import random_image

# open-iscsi's name -> the audit log's.
ALGORITHMS = {"MD5": "MD5", "SHA1": "SHA-1", "SHA256": "SHA-256", "SHA3-256": "SHA3-256"}


def run(case):
    image = random_image(case.folder / "disk0.raw", 1 << 20)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    for offered, used in ALGORITHMS.items():
        logs_in(server, bundle, initiator, image, offered, used)
    initiator = Initiator.of(case, bundle, case.tunnel(bundle).port)
    logs_in(server, bundle, initiator, image, "MD5,SHA1,SHA256,SHA3-256", "SHA3-256")
    logs_in(server, bundle, initiator, image, "MD5,SHA1", "SHA-1")
    md5_switched_off(case, image)


def logs_in(server, bundle, initiator, image, offered, used):
    initiator.set({f"{AUTH}.chap_algs": offered})
    initiator.login()
    login = server.audit("login", bundle)[-1]
    assert login["chap"] == used, f"of {offered}, {login['chap']} was taken instead of {used}"
    assert initiator.sha256(initiator.disks()[0]) == sha256_of(image), f"wrong data by {offered}"
    initiator.logout()


def md5_switched_off(case, image):
    server = case.serve_images([image], more="[chap]\nmd5 = false\n")
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    initiator.set({f"{AUTH}.chap_algs": "MD5"})
    done = initiator.try_login()
    assert done.status == AUTHENTICATION_FAILED, done.text
    reason = server.audit("refused")[-1]["reason"]
    assert reason == "CHAP: no CHAP algorithm in common", reason
    logs_in(server, bundle, initiator, image, "MD5,SHA256", "SHA-256")
