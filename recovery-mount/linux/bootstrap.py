"""Cuts the environment off before anything is imported that it could steer."""

import marshal
import os
import sys

# What may pass: how text is shown, and the proxy (SPEC 6). Everything else, such as PYTHONPATH, OPENSSL_CONF or
# LOCALDOMAIN, is dropped for this process and all that it starts.
KEPT_VARIABLES = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "COLUMNS",
    "NO_COLOR",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
)


# What the new Python runs: the program as the old one has compiled it.
LOADER = (
    "import marshal, os, sys; __file__ = sys.argv[2]; exec(marshal.loads(os.fdopen(int(sys.argv[1]), 'rb').read()))"
)


def enter_isolation(script):
    """Starts Python again in isolated mode (-I): nothing is imported from the script's folder then.

    The new process is given the compiled program: what it takes to compile it, some ten MiB, it does not have to keep
    for as long as the volumes are mounted.
    """
    if sys.version_info < (3, 6):
        sys.exit("itemlift: this needs Python 3.6 or later; this is Python {}.{}.".format(*sys.version_info[:2]))
    for name in list(os.environ):
        if name not in KEPT_VARIABLES:
            del os.environ[name]
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    if sys.argv[0] == "-c":
        del sys.argv[:2]  # the descriptor was one of the loader's own arguments
        return
    again = [sys.executable or "/usr/bin/python3", "-I", "-B"]
    try:
        program = nameless_file(marshal.dumps(sys._getframe(1).f_code))
    except OSError:
        # No place for it: the new process compiles it once more.
        if not sys.flags.isolated:
            os.execv(again[0], again + [os.path.abspath(script)] + sys.argv[1:])
        return
    os.set_inheritable(program, True)
    os.execv(again[0], again + ["-c", LOADER, str(program), os.path.abspath(script)] + sys.argv[1:])


def nameless_file(content):
    """Descriptor of a file with this content, at its begin, that has no name: in memory, or for this user alone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("itemlift")
    else:
        folder = "/run" if os.access("/run", os.W_OK) else "/tmp"
        descriptor = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
