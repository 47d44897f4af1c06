"""The peer: tgt, alone and behind stunnel, as an administrator would put them together."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from server import free_port, wait_for_port

IQN = "iqn.2026-11.example:peer"
INITIATOR = ("peer-initiator", "initiatorsecret1")
TARGET = ("peer-target", "targetsecret0001")


class Tgt:
    """`with Tgt(image) as tgt:` serves the image read-only as LUN 1, mutual CHAP required."""

    def __init__(self, image):
        self.image = Path(image)
        self.port = free_port()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self.environment = {**os.environ, "TGT_IPC_SOCKET": f"{self.folder}/tgt"}
            self.process = start(
                stack,
                ["tgtd", "--foreground", "--iscsi", f"portal=127.0.0.1:{self.port}"],
                self.environment,
            )
            wait_for_port(self.port, self.process)
            self.configure()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def configure(self):
        self.admin("target", "new", "-T", IQN)
        self.admin("logicalunit", "new", "--lun", "1", "-b", self.image)
        self.admin("logicalunit", "update", "--lun", "1", "--params", "readonly=1")
        self.admin("target", "bind", "-I", "ALL")
        for (user, secret), direction in ((INITIATOR, ()), (TARGET, ("--outgoing",))):
            self.admin("account", "new", "--user", user, "--password", secret, tid=False)
            self.admin("account", "bind", "--user", user, *direction)

    def admin(self, mode, operation, *arguments, tid=True):
        subprocess.run(
            ["tgtadm", "--lld", "iscsi", "--mode", mode, "--op", operation]
            + (["--tid", "1"] if tid else [])
            + list(map(str, arguments)),
            env=self.environment,
            check=True,
            timeout=10,
        )

    def url(self, port):
        return (
            f"iscsi://{'%'.join(INITIATOR)}@127.0.0.1:{port}/{IQN}/1"
            f"?target_user={TARGET[0]}&target_password={TARGET[1]}"
        )

    @contextlib.contextmanager
    def stunnel(self):
        """A stunnel on each end; gives the loopback port of the client's and both processes."""
        outer, inner = free_port(), free_port()
        pem = self.folder / "stunnel.pem"
        make_certificate(pem)
        with contextlib.ExitStack() as stack:
            server = self.start_stunnel(stack, f"cert = {pem}", outer, self.port)
            client = self.start_stunnel(stack, "client = yes", inner, outer)
            yield inner, server, client

    def start_stunnel(self, stack, role, accept, connect):
        config = self.folder / f"stunnel-{accept}.conf"
        config.write_text(
            f"foreground = yes\npid =\ndebug = warning\nsocket = l:TCP_NODELAY=1\n"
            f"socket = r:TCP_NODELAY=1\n[iscsi]\n{role}\n"
            f"accept = 127.0.0.1:{accept}\nconnect = 127.0.0.1:{connect}\n"
        )
        process = start(stack, ["stunnel4", config], os.environ)
        wait_for_port(accept, process)
        return process


def start(stack, command, environment):
    process = subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    # tgtd does not end on SIGTERM while an initiator is logged in.
    def stop():
        process.kill()
        process.wait()

    stack.callback(stop)
    return process


def make_certificate(pem):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", "/CN=peer", "-keyout", pem, "-out", pem],
        check=True,
        capture_output=True,
        timeout=30,
    )
