"""32 disks with 96 volumes, 32 of them with a journal to replay: all mounted within a minute."""

import shlex

from bed.timing import Accounting, timing_lines

LONG = True

DISKS, VOLUMES = 32, 96
LIMIT_SECONDS = 60
# To learn by how much it was missed.
PATIENCE_SECONDS = 900
# Compares what a volume holds with the digest that it holds as well.
HOLDS = 'test "$(sha256sum <"$1/data")" = "$(cat "$1/digest")"'


def run(case):
    image = case.disks["three"].form("raw")
    server = case.server()
    server.add_point("web01", [(f"disk{number:02}.raw", image) for number in range(DISKS)])
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"))
    accounting = Accounting(case.shell)
    report = script.attach(limit=PATIENCE_SECONDS)
    shares = accounting.shares(script.grant)
    case.timing += timing_lines(f"{DISKS} disks, {VOLUMES} volumes", report.marks, shares)
    took = report.marks[-1][0]
    case.say(f"{VOLUMES} volumes of {DISKS} disks were mounted after {took:.1f} s")
    mounted = [volume for volume in report.volumes if volume["mounted"]]
    assert len(mounted) == VOLUMES, report.volumes
    paths = " ".join(shlex.quote(volume["path"]) for volume in mounted)
    case.shell.sh(f'holds() {{ {HOLDS}; }}\nfor path in {paths}; do holds "$path"; done', limit=300)
    closed = script.close()
    case.say(f"they were closed after {closed.seconds:.1f} s")
    assert took < LIMIT_SECONDS, f"mounting took {took:.1f} s"
