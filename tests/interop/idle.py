"""What a session costs that is logged in and does nothing, and what of it is what."""

import contextlib
import signal
import socket
import ssl
import time

from client import SPARE_SECONDS, bench, grants, port
from resources import connections, memory
from server import Server

# Connections that are not logged in: fewer than one address may have.
STRANGERS = 100
# A stage is looked at this long after the last connection was made.
SETTLED_SECONDS = 0.5


def idle(image, options, plain):
    """Bytes of the server's memory: for each session, and for each stage on the way to one."""

    def stage(open_one):
        # A server of its own: what an earlier stage left would be used again.
        with Server([image], options.binary) as server:
            warm_up(server, server.bundle_file, plain)
            return strangers(server, open_one)

    stages = {"connected": stage(lambda server: connect(server.plain_port))}
    if not plain:
        stages["tls"] = stage(handshake) - stages["connected"]
    with Server([image], options.binary) as server:
        figures = sessions(server, options.idle_sessions, options.idle_seconds, plain)
    stages["logged in"] = figures["each"]["rss"] - sum(stages.values())
    return {**figures, "stages": stages}


def sessions(server, count, seconds, plain):
    pid = server.process.pid
    bundles = grants(server, count)
    warm_up(server, bundles[0], plain)
    before = memory(pid)
    # Long enough; ended by a signal.
    with bench(server, bundles, plain, "--idle", f"--sessions={count}", "--seconds=86400") as run:
        run.wait_until_logged_in()
        time.sleep(seconds)
        held, during = connections(port(server, plain)), memory(pid)
        run.process.send_signal(signal.SIGINT)
        report = run.report(SPARE_SECONDS)
    after = memory(pid)
    if held != count:
        raise RuntimeError(f"the server holds {held} connections of {count} sessions")
    return {
        "each": {kind: (during[kind] - before[kind]) / count for kind in ("rss", "anon", "file")},
        "rss": {"before": before["rss"], "with": during["rss"], "after": after["rss"]},
        "login_seconds": report["login_seconds"],
        "errors": report["errors"],
    }


def warm_up(server, bundle, plain):
    """One session, so that what the first one brings is not counted."""
    with bench(server, [bundle], plain, "--seconds=1") as run:
        run.report(SPARE_SECONDS)


def strangers(server, open_one):
    """Bytes for each connection that goes no further than `open_one`."""
    before = memory(server.process.pid)["rss"]
    with contextlib.ExitStack() as stack:
        for _ in range(STRANGERS):
            stack.enter_context(open_one(server))
        time.sleep(SETTLED_SECONDS)
        return (memory(server.process.pid)["rss"] - before) / STRANGERS


def connect(port):
    return socket.create_connection(("127.0.0.1", port))


def handshake(server):
    context = ssl.create_default_context(cadata=server.bundle["ca_pem"])
    context.set_alpn_protocols(["iscsi"])
    with open(server.folder / "client.pem", "w") as file:
        file.write(server.bundle["client_cert_pem"] + server.bundle["client_key_pem"])
    context.load_cert_chain(file.name)
    return context.wrap_socket(
        connect(server.tls_port), server_hostname=server.bundle["server_name"]
    )
