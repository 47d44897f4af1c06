"""Certificates for tests, made by the program openssl: a CA, a server, clients good, revoked, expired and foreign."""

import os
import shutil
import subprocess
import tempfile

CONFIG = """
[ca]
default_ca=d
[d]
database={0}/index.txt
new_certs_dir={0}
rand_serial=yes
default_md=sha256
policy=p
unique_subject=no
default_crl_days=30
[p]
commonName=supplied
[ca_ext]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[server_ext]
subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth
[client_ext]
extendedKeyUsage=clientAuth
"""


class Pki:
    """Files of a small public key infrastructure, below `folder`."""

    def __init__(self):
        self.folder = tempfile.mkdtemp()
        self.write("config", CONFIG.format(self.folder))
        self.write("index.txt", "")
        self.certify("ca", "ca_ext", "-selfsign", "-keyfile", self.path("ca.key"))
        for name, extensions in (("server", "server_ext"), ("client", "client_ext"), ("revoked", "client_ext")):
            self.certify(name, extensions, *self.by_ca())
        self.certify("expired", "client_ext", *self.by_ca(), end="20210101000000Z")
        self.openssl("ca", "-config", self.path("config"), *self.by_ca(), "-revoke", self.path("revoked.pem"))
        self.openssl("ca", "-config", self.path("config"), *self.by_ca(), "-gencrl", "-out", self.path("crl.pem"))
        self.certify("other-ca", "ca_ext", "-selfsign", "-keyfile", self.path("other-ca.key"))
        self.certify("foreign", "client_ext", "-cert", self.path("other-ca.pem"), "-keyfile", self.path("other-ca.key"))

    def by_ca(self):
        return "-cert", self.path("ca.pem"), "-keyfile", self.path("ca.key")

    def certify(self, name, extensions, *signer, end="20601231000000Z"):
        key, request = self.path(name + ".key"), self.path(name + ".csr")
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        self.openssl("req", "-new", "-key", key, "-subj", "/CN=" + name, "-out", request)
        self.openssl(
            "ca",
            "-batch",
            "-notext",
            "-config",
            self.path("config"),
            "-extensions",
            extensions,
            "-startdate",
            "20200101000000Z",
            "-enddate",
            end,
            "-in",
            request,
            "-out",
            self.path(name + ".pem"),
            *signer,
        )

    def openssl(self, *arguments):
        if shutil.which("openssl") is None:
            raise AssertionError("this test needs the program openssl: install it (apt-get install openssl)")
        result = subprocess.run(
            ("openssl",) + arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
        )
        if result.returncode != 0:
            raise AssertionError("openssl {}: {}".format(" ".join(arguments), result.stdout.decode()))

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def secrets(self, name):
        return {"client_cert_pem": self.read(name + ".pem"), "client_key_pem": self.read(name + ".key")}

    def remove(self):
        shutil.rmtree(self.folder)
