"""OpenSSH's server without its package: that one would start a server of the machine's own."""

import os
import shutil
from pathlib import Path

from daemon import BedError, must
from server import ROOT

INSTALLED = ROOT / "target/repositories/openssh-server"
CONF = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
# The folder lies below one that everybody may write in.
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
# To sshd as root there must be a user and a folder for its less privileged half. These exist
# for it alone, in a mount namespace of its own.
AS_ROOT = """\
mount --bind {folder}/passwd /etc/passwd && mount -t tmpfs tmpfs /run && mkdir /run/sshd &&
exec {command}"""
PASSWD_LINE = "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"


def install():
    """The program, unpacked from the package where that was not done before."""
    program = INSTALLED / "usr/sbin/sshd"
    if not program.exists():
        unfinished = INSTALLED.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            must(["apt-get", "download", "openssh-server"], folder=unfinished)
        except BedError as error:
            raise BedError(f"{error}\n`apt-get update` may help") from None
        must(["dpkg-deb", "-x", *unfinished.glob("*.deb"), unfinished])
        unfinished.rename(INSTALLED)
    return program


def command(folder, port):
    """What runs a server in the foreground that is configured by files of the folder alone."""
    (folder / "sshd.conf").write_text(CONF.format(folder=folder, port=port))
    words = [str(install()), "-D", "-e", "-f", str(folder / "sshd.conf")]
    if os.geteuid() != 0:
        return words
    passwd = Path("/etc/passwd").read_text()
    known = any(line.startswith("sshd:") for line in passwd.splitlines())
    (folder / "passwd").write_text(passwd if known else passwd + PASSWD_LINE)
    script = AS_ROOT.format(folder=folder, command=" ".join(words))
    return ["unshare", "--mount", "sh", "-c", script]
