"""`itemlift tunnel` in the guest: the network under its TLS is lost, and the read goes on."""

import http.server
import subprocess
import threading

from bed.initiator import Initiator
from bed.network import dropped, link_down, reset
from bed.patterns import random_image
from bed.resumption import IMAGE_BYTES, PATIENT, goes_on
from bed.server import HOST_SEEN_FROM_GUEST, binary

LONG = True

FOLDER = "/root/tunnel"
PORT = 3260


def run(case):
    image = random_image(case.folder / "disk0.raw", IMAGE_BYTES)
    server = case.serve_images([image])
    bundle = server.bundle("web01")
    case.afterwards(lambda: case.shell.must("rm", "-rf", FOLDER))
    case.shell.must("mkdir", FOLDER)
    bring_program(case)
    case.shell.write(f"{FOLDER}/bundle.json", bundle.file.read_bytes(), mode=0o600)
    words = ("tunnel", "--bundle", f"{FOLDER}/bundle.json", "--listen", f"127.0.0.1:{PORT}")
    tunnel = case.shell.spawn(f"{FOLDER}/itemlift", *words, close_input=True)
    tunnel.wait_for("Ctrl-C closes the tunnel")
    case.afterwards(lambda: end(tunnel))
    initiator = Initiator.of(case, bundle, PORT, host="127.0.0.1")
    initiator.set(PATIENT)
    initiator.login()
    assert [session["tls"] for session in server.sessions()] == [True], server.sessions()
    for trouble in (link_down(), dropped(server.port), reset(server.port)):
        goes_on(case, initiator, server, bundle, image, trouble)


def end(tunnel):
    tunnel.signal(2)
    tunnel.end()


def bring_program(case):
    """Without its debugging information, over the network: the agent's port is slow."""
    folder = case.folder / "program"
    folder.mkdir()
    subprocess.run(["strip", "-o", str(folder / "itemlift"), str(binary())], check=True)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=str(folder))

        def log_message(self, *words):
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        url = f"http://{HOST_SEEN_FROM_GUEST}:{web.server_address[1]}/itemlift"
        fetch = f"import urllib.request; urllib.request.urlretrieve('{url}', '{FOLDER}/itemlift')"
        case.shell.must("python3", "-c", fetch, limit=300)
        web.shutdown()
    case.shell.must("chmod", "755", f"{FOLDER}/itemlift")
