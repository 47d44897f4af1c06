"""A read that is disturbed half way and has to go on: every byte right, by a session made anew."""

from bed.initiator import sha256_of

# Small reads, so that there is a middle to disturb.
READ_PIECE = "16k"
IMAGE_BYTES = 24 << 20
BEFORE_BYTES = 4 << 20

# As the mount script has them, but for how soon a dead connection is noticed.
PATIENT = {
    "node.session.timeo.replacement_timeout": "300",
    "node.conn[0].timeo.noop_out_interval": "3",
    "node.conn[0].timeo.noop_out_timeout": "5",
}


def goes_on(case, initiator, server, bundle, image, trouble):
    """Reads the whole disk; the trouble lasts until the kernel has noticed it."""
    logins = len(server.audit("login", bundle))
    reading = initiator.read(initiator.disks()[0], READ_PIECE)
    reading.wait_until_read(BEFORE_BYTES)
    case.shell.sh(trouble.begin)
    initiator.wait_for_state("FAILED")
    reached = reading.bytes_read()
    assert reading.running.running(), f"{trouble.name}: {reading.running.text()}"
    assert reached < IMAGE_BYTES, f"{trouble.name}: nothing was left to read"
    case.shell.sh(trouble.end)
    assert reading.end_well() == sha256_of(image), f"{trouble.name}: wrong data"
    initiator.wait_for_state("LOGGED_IN")
    again = len(server.audit("login", bundle)) - logins
    assert again >= 1, f"{trouble.name}: the session was not made anew"
    assert len(server.sessions()) == 1, server.sessions()
