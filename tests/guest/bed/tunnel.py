"""`itemlift tunnel` on the host, for an initiator in the guest that knows no TLS."""

import json
import socket
import subprocess
import time

from bed.server import HOST_SEEN_FROM_GUEST, START_LIMIT_SECONDS, ServerError, binary, free_port


class Tunnel:
    """Listens on a loopback port of the host until it is killed; `start` opens it there again."""

    def __init__(self, folder, bundle):
        self.port = free_port()
        self.log = folder / f"tunnel-{self.port}.log"
        # The bundle says how the guest reaches the server.
        here = bundle.json["portal"].replace(HOST_SEEN_FROM_GUEST, "127.0.0.1")
        self.bundle = folder / f"tunnel-{self.port}.json"
        self.bundle.write_text(json.dumps({**bundle.json, "portal": here}))
        self.process = None
        self.start()

    def start(self):
        command = [str(binary()), "tunnel", "--bundle", str(self.bundle)]
        command += ["--listen", f"127.0.0.1:{self.port}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    said = self.log.read_text(errors="replace")
                    raise ServerError(f"`itemlift tunnel` does not listen:\n{said}") from None
                time.sleep(0.02)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
