"""LVM, btrfs and overlays go in every way of closing: a shell inside, SIGKILL, the server gone."""

import signal

from bed.leaks import HostState

LONG = True

DISKS = [("machine", "raw")]


def run(case):
    script = case.script(DISKS)
    before = HostState(case.shell)
    for close in (with_a_shell_inside, after_sigkill, without_the_server):
        close(case, script)
        left = before.changes()
        assert not left, f"{close.__name__} left {left}"


def with_a_shell_inside(case, script):
    """The shell keeps its place, empty, and takes it along when it goes."""
    report = script.attach()
    top = report.volume("ROOT")["path"].rpartition("/")[0]
    holding = "exec 9<where; echo ready; read line; cat where 2>&1; read line"
    shells = [
        case.shell.spawn("sh", "-c", holding, cwd=place)
        for place in (
            report.volume("VAR")["path"],
            report.volume("HOME")["path"] + "/@home",
            f"{top}/root",
        )
    ]
    for shell in shells:
        shell.wait_for("ready")
    script.close()
    assert not case.shell.run("iscsiadm", "-m", "session").stdout, "the session is still there"
    for shell in shells:
        shell.type("\n\n")
        shell.end()


def after_sigkill(case, script):
    running, report = script.stay()
    assert report.volume("ROOT")["mounted"]
    running.signal(signal.SIGKILL)
    running.end()
    script.close()


def without_the_server(case, script):
    report = script.attach()
    assert report.volume("ROOT")["mounted"]
    case.servers[0].kill()
    script.close()
