"""Logins by open-iscsi that must fail: wrong secrets either way, one-way CHAP, none, strangers."""

from bed.initiator import AUTH, AUTHENTICATION_FAILED, FATAL, Initiator, credentials


def run(case):
    server = case.serve({"web01": [("whole", "raw")], "web02": [("whole", "raw")]})
    bundle, other = server.bundle("web01"), server.bundle("web02")
    initiator = Initiator.of(case, bundle, server.plain_port)
    right = credentials(AUTH, bundle.json["initiator"], bundle.json["target"])
    someone_else = {
        f"{AUTH}.username": other.json["initiator"]["user"],
        f"{AUTH}.password": other.json["initiator"]["secret"],
    }
    # What is wrong, and what the audit log says of it.
    refusals = (
        ({f"{AUTH}.password": "not-the-secret-1"}, "CHAP: the response is wrong"),
        ({f"{AUTH}.username": "nobody"}, "unknown user"),
        (someone_else, "a target that is not this user's"),
        ({f"{AUTH}.username_in": "", f"{AUTH}.password_in": ""}, "did not ask for mutual CHAP"),
        (no_chap(), "skips authentication"),
    )
    for wrong, reason in refusals:
        initiator.set(right | wrong)
        fails(initiator, wrong)
        told = server.audit("refused")[-1]["reason"]
        assert reason in told, f"{wrong}: {told}"
    # A target that cannot prove itself: here it is the initiator that goes away.
    before = len(server.audit("refused"))
    initiator.set(right | {f"{AUTH}.password_in": "not-the-secret-2"})
    fails(initiator, "the target's secret", FATAL, "non-retryable iSCSI login failure")
    assert len(server.audit("refused")) == before, server.audit("refused")[-1]
    assert not server.audit("login"), "somebody was let in"
    assert not server.sessions(), server.sessions()
    initiator.set(right)
    initiator.login()


def no_chap():
    """open-iscsi offers CHAP as long as the record has a name, whatever its authmethod."""
    nobody = {"user": "", "secret": ""}
    return credentials(AUTH, nobody, nobody) | {f"{AUTH}.authmethod": "None"}


def fails(initiator, what, status=AUTHENTICATION_FAILED, words="authorization failure"):
    done = initiator.try_login()
    assert done.status == status, f"{what}: {done.status} {done.text}"
    assert words in done.text, done.text
