"""Discovery with mutual CHAP: open-iscsi is told its own target and no other, or nothing at all."""

from bed.initiator import credentials
from bed.server import HOST_SEEN_FROM_GUEST

AUTH = "discovery.sendtargets.auth"


def run(case):
    server = case.serve({"web01": [("whole", "raw")], "web02": [("whole", "raw")]})
    bundle, other = server.bundle("web01"), server.bundle("web02")
    portal = f"{HOST_SEEN_FROM_GUEST}:{server.plain_port}"
    database = f"iscsiadm -m discoverydb -t st -p {portal}"
    case.afterwards(lambda: forget(case.shell, database, portal))
    case.shell.sh(f"{database} -o new")
    for each in (bundle, other):
        configure(
            case.shell, database, credentials(AUTH, each.json["initiator"], each.json["target"])
        )
        done = discover(case.shell, database)
        # Without a TargetAddress of our own the initiator stays where it has asked.
        assert done.stdout.split() == [f"{portal},-1", each.iqn], f"told {done.stdout!r}"
    assert server.audit("login", bundle), "discovery is not in the audit log"
    refused(case, server, database, bundle)


def refused(case, server, database, bundle):
    """A wrong secret on either side, and no proof asked of the target."""
    own, theirs = bundle.json["initiator"], bundle.json["target"]
    wrong = {"user": own["user"], "secret": "not-the-secret-1"}
    lying = {"user": theirs["user"], "secret": "not-the-secret-2"}
    nobody = {"user": "", "secret": ""}
    refusals = (
        (wrong, theirs, "authorization failure"),
        (own, nobody, "authorization failure"),
        # Here it is the initiator that goes away.
        (own, lying, "received incorrect CHAP response from target"),
    )
    for initiator, target, words in refusals:
        configure(case.shell, database, credentials(AUTH, initiator, target))
        done = discover(case.shell, database)
        assert done.status != 0 and words in done.stderr, f"{done.status}: {done.text}"
        assert "iqn." not in done.stdout, f"told {done.stdout!r}"


def configure(shell, database, settings):
    shell.sh(
        "\n".join(
            f"{database} -o update -n {name} -v '{value}'" for name, value in settings.items()
        )
    )


def discover(shell, database):
    return shell.run("sh", "-c", f"{database} -D -o nonpersistent", env={"LC_ALL": "C"}, limit=120)


def forget(shell, database, portal):
    shell.run("sh", "-c", f"iscsiadm -m node -p {portal} -o delete")
    shell.sh(f"{database} -o delete")
