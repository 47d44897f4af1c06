"""open-iscsi and libiscsi read one grant at the same time: both right, both listed."""

import subprocess
import threading

from bed.initiator import Initiator, sha256_of
from bed.libiscsi import LibIscsi
from bed.patterns import random_image

LOAD_SECONDS = 3


def run(case):
    image = random_image(case.folder / "disk0.raw", 16 << 20)
    expected = sha256_of(image)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    initiator = Initiator.of(case, bundle, server.plain_port)
    initiator.login()
    reading = initiator.read(initiator.disks()[0], "64k")
    with LibIscsi(bundle, f"127.0.0.1:{server.plain_port}") as disk:
        names = sorted(session["initiator"] for session in server.sessions())
        assert len(names) == 2 and "iqn.2026-11.example:libiscsi" in names, names
        found = []
        readers = [threading.Thread(target=lambda: found.append(disk.sha256()))]
        readers += [threading.Thread(target=lambda: found.append(load(server, bundle)))]
        for reader in readers:
            reader.start()
        digest = reading.end_well()
        for reader in readers:
            reader.join()
    assert digest == expected, "open-iscsi: wrong data"
    assert len(found) == 2, "libiscsi gave up"
    assert expected in found, "libiscsi: wrong data"
    left = [session["initiator"] for session in server.sessions()]
    assert len(left) == 1, f"sessions after libiscsi's logout: {left}"


def load(server, bundle):
    """iscsi-perf; it retries a dead target for ever, so the time limit kills it."""
    own, theirs = bundle.json["initiator"], bundle.json["target"]
    url = (
        f"iscsi://{own['user']}%{own['secret']}@127.0.0.1:{server.plain_port}/{bundle.iqn}/0"
        f"?target_user={theirs['user']}&target_password={theirs['secret']}"
    )
    words = ["iscsi-perf", "-b", "8", "-m", "32", "-r", "-t", str(LOAD_SECONDS), url]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return "loaded"
