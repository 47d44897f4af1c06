"""The loopback socket that the initiator connects to in place of the server."""

import errno
import socket

from outcome import HOST_LACKS, Stop

# One session has one connection; while it is re-established the old one may still be around.
MAX_LINKS = 8

# Where SELinux is enforced, its policy lets iscsid connect to this port (iscsi_port_t) and to no other.
SELINUX_ENFORCED = "/sys/fs/selinux/enforce"
LABELLED_PORT = 3260
# All of 127.0.0.0/8 is loopback: what holds the port at one address leaves the others.
LABELLED_PORT_ADDRESSES = tuple("127.0.0.{}".format(last) for last in range(1, 17))


def open_listener(host):
    """A socket that listens at a loopback address, at any free port unless SELinux wants its own."""
    if host.read(SELINUX_ENFORCED) != "1":
        return listen_at("127.0.0.1", 0)
    for address in LABELLED_PORT_ADDRESSES:
        try:
            return listen_at(address, LABELLED_PORT)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise Stop(
        HOST_LACKS,
        "SELinux lets this machine's initiator connect to TCP port {0} alone, and that is taken at every loopback "
        "address. Find what holds it (ss -ltnp sport = :{0}), end it, and run the script again.".format(LABELLED_PORT),
    )


def listen_at(address, port):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((address, port))
        listener.listen(MAX_LINKS)
    except OSError:
        listener.close()
        raise
    return listener
