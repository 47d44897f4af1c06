"""QEMU's own iSCSI driver knows one-way CHAP alone: it is refused, told so, and learns nothing."""

import subprocess


def run(case):
    server = case.serve({"web01": [("whole", "raw")]})
    bundle = server.bundle("web01")
    own, theirs = bundle.json["initiator"], bundle.json["target"]
    place = f"127.0.0.1:{server.plain_port}/{bundle.iqn}/0"
    url = f"iscsi://{own['user']}%{own['secret']}@{place}"
    mutual = f"{url}?target_user={theirs['user']}&target_password={theirs['secret']}"
    refused(server, url, "the initiator did not ask for mutual CHAP")
    # Its URL may name the target's credentials; QEMU does not hand them to libiscsi.
    refused(server, mutual, "the initiator did not ask for mutual CHAP")
    refused(server, f"iscsi://{place}", "the initiator skips authentication")
    assert not server.sessions(), server.sessions()


def refused(server, url, reason):
    words = ["qemu-img", "info", "--output", "json", url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and not done.stdout, f"QEMU was let in: {done.stdout}"
    assert "Authentication failure" in done.stderr, done.stderr
    told = server.audit("refused")[-1]["reason"]
    assert reason in told, told
