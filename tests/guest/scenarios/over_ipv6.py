"""The server has an IPv6 address alone: the script connects, and the tunnel carries on, by that."""

# How the guest reaches ::1 of the host through QEMU's user network.
HOST6 = "fec0::2"


def run(case):
    case.shell.sh("ip -6 address add fec0::15/64 dev eth0 nodad")
    case.afterwards(lambda: case.shell.sh("ip -6 address del fec0::15/64 dev eth0"))
    server = case.server()
    server.seen_as, server.loopback = HOST6, "::1"
    server.add_point("web01", [("disk0.raw", case.disks["whole"].form("raw"))])
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"))
    report = script.attach()
    report.holds(case.manifests("whole"))
    script.close()
