"""Stores behind TLS."""

from bed import VM
from case_faults import READ, RIGHT, far_apart, outcome
from served import Served
from tls_proxy import TlsProxy, make_ca


def over_tls(bed):
    """With the store's CA all is read; without it nothing is, and the operator is told why."""
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    with TlsProxy(bed.store.port, bed.folder) as proxy:
        with (
            Served(bed, proxy.port, ca=proxy.ca) as server,
            server.session(server.grant_at_last(VM), disk.lun) as session,
        ):
            for at in far_apart(content):
                outcome(session, at, content, (RIGHT,), "over TLS")
            assert session.read_all(0, 16 * READ) == content[: 16 * READ]
        another = bed.folder / "another.pem"
        make_ca(another, bed.folder / "another.key")
        with Served(bed, proxy.port, ca=another) as server:
            assert server.points(VM) == [], "read from a store whose certificate nobody vouches for"
            said = server.outcome("source", "check", "--state", server.state)
            assert "certificate" in said, f"`source check` says: {said}"
