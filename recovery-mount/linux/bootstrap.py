"""Cuts the environment off before anything is imported that it could steer."""

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


def enter_isolation(script):
    """Starts Python again in isolated mode (-I) unless it is; then nothing is imported from the script's folder."""
    if sys.version_info < (3, 6):
        sys.exit("itemlift: this needs Python 3.6 or later; this is Python {}.{}.".format(*sys.version_info[:2]))
    for name in list(os.environ):
        if name not in KEPT_VARIABLES:
            del os.environ[name]
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    if not sys.flags.isolated:
        python = sys.executable or "/usr/bin/python3"
        os.execv(python, [python, "-I", "-B", os.path.abspath(script)] + sys.argv[1:])
