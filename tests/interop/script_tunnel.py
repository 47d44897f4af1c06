"""The mount script's own tunnel, without the script: for a bundle, on a port that it prints.

As a program it is run by any Python that the script supports; it ends when its input does.
"""

import base64
import contextlib
import json
import ssl
import subprocess
import sys
from pathlib import Path

MODULES = Path(__file__).resolve().parents[2] / "recovery-mount/linux"


@contextlib.contextmanager
def script_tunnel(bundle, python=sys.executable):
    """Gives the loopback port that it listens on and the id of the process behind it."""
    command = [python, "-B", __file__, str(bundle)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as process:
        try:
            port, pid = process.stdout.readline().split()
            yield int(port), int(pid)
        finally:
            process.stdin.close()


def main(path):
    sys.path.insert(0, str(MODULES))
    from listener import listen_at
    from server import tls_context
    from tunnel_process import Tunnel

    bundle = json.loads(Path(path).read_text())
    host, _, port = bundle["portal"].rpartition(":")
    plan = {
        "host": host.strip("[]"),
        "port": int(port),
        "server_name": bundle["server_name"],
        "ca_der": base64.b64encode(ssl.PEM_cert_to_DER_cert(bundle["ca_pem"])).decode(),
    }
    tunnel = Tunnel(plan, tls_context(plan, "iscsi", bundle), listen_at("127.0.0.1", 0))
    tunnel.start()
    print(tunnel.portal.rpartition(":")[2], tunnel.pid, flush=True)
    sys.stdin.read()
    tunnel.close()


if __name__ == "__main__":
    main(sys.argv[1])
