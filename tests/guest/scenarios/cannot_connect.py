"""Each way in which the server is not reached: status 3, what failed and what to check."""

from bed.network import dropped
from bed.proxy import Proxy
from bed.script import ends_with
from bed.server import HOST_SEEN_FROM_GUEST

LONG = True

# Waiting for an answer or a resolver, and a slow machine.
LIMIT_SECONDS = 120


def run(case):
    script = case.script([("whole", "raw")])
    server = case.servers[0]
    where = f"10.0.2.2 port {server.port}"
    blocked = dropped(server.port)
    case.shell.sh(blocked.begin)
    done = script.run("--detach", "--password-stdin")
    case.shell.sh(blocked.end)
    ends_with(done, 3, where, "no answer within 10 s", "firewall", f"TCP port {server.port}")
    assert done.seconds < LIMIT_SECONDS, f"that took {done.seconds:.0f} s"

    server.kill()
    for flags in (("--detach",), ("--detach", "--format", "json"), ()):
        ends_with(script.run("--password-stdin", *flags), 3, where, "check that")
    proxies(case, script)
    another_server(case, script)
    no_such_name(case)


def proxies(case, script):
    refusing = Proxy(refuses=True)
    address = f"http://{HOST_SEEN_FROM_GUEST}:{refusing.port}"
    done = script.run("--check", env={"https_proxy": address})
    ends_with(done, 3, f"proxy {HOST_SEEN_FROM_GUEST} refuses", "status 403")
    refusing.close()
    ends_with(
        script.run("--check", env={"HTTPS_PROXY": address}), 3, "cannot reach the HTTPS proxy"
    )


def another_server(case, script):
    """Something else has the address now, with a certificate of its own."""
    other = case.server()
    other.port = case.servers[0].port
    other.add_point("web01", [("disk0.raw", case.disks["whole"].form("raw"))])
    other.init()
    other.start()
    ends_with(script.run("--detach", "--password-stdin"), 3, "is not the server of this script")
    ends_with(script.run("--check"), 3, "is not the server of this script", "clock")


def no_such_name(case):
    server = case.server()
    server.seen_as = "recovery.invalid"
    server.add_point("web01", [("disk0.raw", case.disks["whole"].form("raw"))])
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"), folder="/root/named")
    done = script.run("--detach", "--password-stdin")
    ends_with(done, 3, "recovery.invalid", "does not resolve", "DNS")
    assert done.seconds < LIMIT_SECONDS, f"that took {done.seconds:.0f} s"
