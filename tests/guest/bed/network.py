"""Trouble with the guest's network: what begins it and what ends it, as commands of the guest."""

from dataclasses import dataclass

from bed.server import HOST_SEEN_FROM_GUEST


@dataclass(frozen=True)
class Trouble:
    name: str
    begin: str
    end: str


def link_down():
    """The interface is switched off, and its routes with it."""
    return Trouble(
        "link down",
        "ip link set eth0 down",
        f"ip link set eth0 up && ip route replace default via {HOST_SEEN_FROM_GUEST}",
    )


def dropped(port):
    """Nothing to or from the host's port arrives, and nobody is told."""
    return _rules("packets dropped", port, "DROP", "DROP")


def reset(port):
    """What the guest sends to the host's port is answered by a reset."""
    return _rules("reset", port, "REJECT --reject-with tcp-reset", "DROP")


def _rules(name, port, out, back):
    rules = (
        f"OUTPUT -p tcp -d {HOST_SEEN_FROM_GUEST} --dport {port} -j {out}",
        f"INPUT -p tcp -s {HOST_SEEN_FROM_GUEST} --sport {port} -j {back}",
    )
    return Trouble(
        name,
        " && ".join(f"iptables -A {rule}" for rule in rules),
        " && ".join(f"iptables -D {rule}" for rule in rules),
    )
