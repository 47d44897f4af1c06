"""The server is not there: status 3, what could not be reached and what to check."""

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "raw")])
    case.servers[0].kill()
    where = f"10.0.2.2 port {case.servers[0].port}"
    for flags in (("--detach",), ("--detach", "--format", "json"), ()):
        ends_with(script.run("--password-stdin", *flags), 3, where, "check that")
