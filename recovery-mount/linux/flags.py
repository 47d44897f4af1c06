"""The command line: the documented flags and nothing else."""

import argparse
import re
import sys

from outcome import USAGE
from overlays import DEFAULT_OVERLAY_MIB, LARGEST_OVERLAY_MIB, SMALLEST_OVERLAY_MIB


class Parser(argparse.ArgumentParser):
    """argparse with our exit status."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(USAGE, "itemlift: {}. See --help.\n".format(message))


def parse_flags(arguments):
    parser = Parser(
        prog="mount-script",
        allow_abbrev=False,
        add_help=False,
        description="Mounts the disks of a recovery point read-only, below the current folder, until it is closed "
        "with q, Ctrl-C, SIGTERM or --unmount, or until the grant ends.",
        epilog="Exit status: 0 done, 1 usage, 2 refused (password, expired, revoked), 3 cannot connect, "
        "4 this machine lacks something, 5 mounted in part.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check",
        action="store_true",
        help="check this machine and the server, with --password-stdin the grant too; change nothing",
    )
    what.add_argument("--detach", action="store_true", help="mount, then go on in the background")
    what.add_argument("--status", action="store_true", help="show what is mounted and for how long")
    what.add_argument("--unmount", action="store_true", help="close a run of this script on this machine")
    parser.add_argument("--into", metavar="DIR", help="mount below DIR instead of the current folder")
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input, and the keys of encrypted volumes from the lines after it",
    )
    parser.add_argument(
        "--yes", action="store_true", help="say yes to installing packages and to cleaning up after runs that died"
    )
    parser.add_argument(
        "--overlay-size",
        metavar="SIZE",
        type=overlay_mib,
        default=DEFAULT_OVERLAY_MIB,
        help="room for what each volume's journal writes when it is replayed, such as 256M or 1G; default {}M".format(
            DEFAULT_OVERLAY_MIB
        ),
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="json: the last line on standard output is a JSON object",
    )
    parser.add_argument("-h", "--help", action="help", help="show this and end")
    flags = parser.parse_args(arguments)
    if flags.into == "":
        parser.error("--into needs a folder")
    return flags


def overlay_mib(text):
    """A size in MiB, of a text such as 256M or 1G."""
    match = re.match(r"^([0-9]{1,6})([MG])$", text)
    mib = int(match.group(1)) * (1024 if match.group(2) == "G" else 1) if match else 0
    if not SMALLEST_OVERLAY_MIB <= mib <= LARGEST_OVERLAY_MIB:
        raise argparse.ArgumentTypeError(
            "{!r} is not a size from {}M to {}G, such as 256M or 1G".format(
                text, SMALLEST_OVERLAY_MIB, LARGEST_OVERLAY_MIB // 1024
            )
        )
    return mib
