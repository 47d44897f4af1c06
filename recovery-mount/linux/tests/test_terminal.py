"""What the user sees: the table at 80 and 120 columns, messages, what is below them, with and without colour."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unittest

from columns import columns_of, cut, folded, printable
from table import counted, duration, size, volume_table
from talk import Talk

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = "/root/web01-2026-11-20T02-00-00Z/"


def volume(name, disk, source, fs, label, count, reason=None):
    path = TOP + name if name else None
    facts = {"name": name, "disk": disk, "source": source, "fs": fs, "label": label, "size": count}
    return dict(facts, path=path, mounted=name is not None, reason=reason)


VOLUMES = [
    volume("Volume1", "disk0.qcow2", "partition 1", "vfat", "ESP", 512 << 20),
    volume("Volume2", "disk0.qcow2", "LV vg0/var-log", "ext4", None, 40 << 30),
    volume(None, "disk0.qcow2", "partition 3", "swap", None, 2 << 30, "swap space: nothing to mount"),
    volume("Volume3", "disk1.qcow2 + disk2.qcow2", "whole disk", "btrfs", "\u6771\u4eac data", 5 << 40),
    volume(
        None,
        "datastore1-web01-system_1.vmdk",
        "partition 2",
        "crypto_LUKS",
        "ro\x1b[31mot",
        10 << 30,
        "is encrypted, and none of the keys opens it: run the script again with the right key",
    ),
]

AT_80 = """\
Volume   Disk               Where           Type         Label         Size
Volume1  disk0.qcow2        partition 1     vfat         ESP           512.0 MiB
    /root/web01-2026-11-20T02-00-00Z/Volume1
Volume2  disk0.qcow2        LV vg0/var-log  ext4         -             40.0 GiB
    /root/web01-2026-11-20T02-00-00Z/Volume2
-        disk0.qcow2        partition 3     swap         -             2.0 GiB
    not mounted: swap space: nothing to mount
Volume3  disk1.q...2.qcow2  whole disk      btrfs        \u6771\u4eac data     5.0 TiB
    /root/web01-2026-11-20T02-00-00Z/Volume3
-        datasto..._1.vmdk  partition 2     crypto_LUKS  ro\\x1b[31mot  10.0 GiB
    not mounted: is encrypted, and none of the keys opens it: run the script
    again with the right key
"""

AT_120 = """\
Volume   Disk         Where           Type  Label  Size       Mounted at
Volume1  disk0.qcow2  partition 1     vfat  ESP    512.0 MiB  /root/web01-2026-11-20T02-00-00Z/Volume1
Volume2  disk0.qcow2  LV vg0/var-log  ext4  -      40.0 GiB   /root/web01-2026-11-20T02-00-00Z/Volume2
-        disk0.qcow2  partition 3     swap  -      2.0 GiB    not mounted: swap space: nothing to mount
-        disk0.qcow2  partition 4     bar   -      1.0 GiB
    not mounted: is a file system that this script does not mount, and more words to make it longer than there is room
"""


def table(volumes, width):
    return "".join(line + "\n" for line, _ in volume_table(volumes, width, printable))


class Table(unittest.TestCase):
    maxDiff = None

    def test_at_80_columns(self):
        self.assertEqual(table(VOLUMES, 80), AT_80)

    def test_at_120_columns(self):
        reason = "is a file system that this script does not mount, and more words to make it longer than there is room"
        self.assertEqual(
            table(VOLUMES[:3] + [volume(None, "disk0.qcow2", "partition 4", "bar", None, 1 << 30, reason)], 120), AT_120
        )

    def test_no_line_is_wider_than_the_terminal_but_a_path(self):
        long = volume("Volume9", "d" * 90, "LV " + "v" * 70, "linux_raid_member", "\u6771" * 60, 1 << 50, "r " * 150)
        far = dict(long, path="/srv/" + "p" * 130)
        for width in (80, 100, 120, 200):
            for line in table(VOLUMES + [long, far], width).splitlines():
                if line.strip() != far["path"]:
                    self.assertLessEqual(columns_of(line), width, line)
            self.assertIn(far["path"], table([far], width))

    def test_what_is_not_mounted_stands_out(self):
        looks = {line.split()[0]: look for line, look in volume_table(VOLUMES[:3], 120, printable)}
        self.assertEqual(looks, {"Volume": "title", "Volume1": None, "Volume2": None, "-": "odd"})

    def test_words(self):
        self.assertEqual([size(n) for n in (512, 1536, 64 << 40)], ["512 B", "1.5 KiB", "64.0 TiB"])
        self.assertEqual([counted(n, "disk") for n in (1, 32)], ["1 disk", "32 disks"])
        self.assertEqual(
            [duration(s) for s in (43199, 120, 59, -5)],
            ["11 h 59 min", "2 min", "less than a minute", "less than a minute"],
        )


class Columns(unittest.TestCase):
    def test_wide_letters_and_accents(self):
        self.assertEqual([columns_of(text) for text in ("abc", "\u6771\u4eac", "e\u0301", "\uff21")], [3, 4, 1, 2])

    def test_cut_keeps_begin_and_end(self):
        self.assertEqual(cut("datastore1-web01_2.vmdk", 12), "datas...vmdk")
        self.assertEqual(cut("\u6771\u4eac\u6771\u4eac\u6771\u4eac", 9), "\u6771\u4eac...\u4eac")
        self.assertEqual(cut("fits", 4), "fits")

    def test_words_and_paths_stay_whole(self):
        self.assertEqual(folded("see /a/path/of/its/own now", 12, 2), ["see", "  /a/path/of/its/own", "  now"])
        self.assertEqual(folded("one two three", 7), ["one two", "three"])

    def test_what_is_not_printable_is_escaped(self):
        self.assertEqual(printable("\x1b[2J\n"), "\\x1b[2J\\n")
        self.assertEqual(printable("\udce6\udc9d\udcb1"), "\u6771")


PROGRAM = """
import json, sys
sys.path[:0] = [{!r}]
from run import say_closed, show
from talk import Talk
talk = Talk()
talk.say("Attaching 1 disk of web01 (2026-11-20T02:00:00Z) from recovery.example.com port 3260 " * 2)
talk.progress("Logging in.")
talk.progress("Mounting the volumes.", " 1 of 3.")
talk.progress("Mounting the volumes.", " 2 of 3.")
show(talk, {{"not_served": []}}, json.loads(sys.argv[1]))
talk.progress("11 h 59 min left. To close: q here, or --unmount.")
talk.say("Something happened meanwhile.")
if sys.argv[2:]:
    sys.exit()
say_closed(talk, [])
talk.fail("The grant was revoked.")
"""


def shown_on(columns, *more, **variables):
    """What a program writes that talks on a terminal so wide, or through a pipe where `columns` is None."""
    command = [sys.executable, "-c", PROGRAM.format(HERE), json.dumps(VOLUMES)] + list(more)
    environment = dict({"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}, **variables)
    if columns is None:
        return subprocess.check_output(command, stderr=subprocess.STDOUT, env=environment).decode()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the end, on Linux
            break
        written += piece
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode().replace("\r\n", "\n")


def screen(written):
    """The lines that stand on the terminal in the end."""
    lines = [""]
    for piece in re.findall("\033\\[[0-9;]*[mK]|.|\n", written):
        if piece == "\n":
            lines.append("")
        elif piece == "\r":
            pass  # always followed by an erasure here
        elif piece.endswith("K") and piece.startswith("\033"):
            lines[-1] = ""
        elif not piece.startswith("\033"):
            lines[-1] += piece
    return lines


class OnATerminal(unittest.TestCase):
    def test_what_stands_there_in_the_end(self):
        for columns in (80, 120):
            lines = screen(shown_on(columns, TERM="xterm"))
            self.assertLessEqual(max(map(columns_of, lines)), columns)
            text = "\n".join(lines)
            for passing in ("Logging in", "Mounting the volumes", "To close"):
                self.assertNotIn(passing, text)
            self.assertIn(table(VOLUMES, columns), text)
            self.assertEqual(lines[-3:], ["Closed. Nothing is left behind.", "itemlift: The grant was revoked.", ""])

    def test_the_last_line_says_what_is_going_on(self):
        lines = screen(shown_on(80, "go on", TERM="xterm"))
        self.assertEqual(lines[-2], "Something happened meanwhile.")
        self.assertEqual(lines[-1], "11 h 59 min left. To close: q here, or --unmount.")
        self.assertEqual(screen(shown_on(30, "go on", TERM="xterm"))[-1], "11 h 59 min l...or --unmount.")

    def test_colours_only_where_they_are_wanted(self):
        looks = re.compile("\033\\[[0-9;]*m")
        self.assertTrue(looks.search(shown_on(80, TERM="xterm")))
        self.assertTrue(looks.search(shown_on(80, TERM="xterm", NO_COLOR="")))
        plain = shown_on(80, TERM="xterm", NO_COLOR="1")
        self.assertFalse(looks.search(plain))
        self.assertIn("\033[K", plain)

    def test_nothing_steers_what_cannot_be_steered(self):
        for variables in ({"TERM": "dumb"}, {}):
            written = shown_on(80, **variables)
            self.assertNotIn("\033", written)
            self.assertNotIn("\r", written)
            self.assertIn("Mounting the volumes.\n", written)
            self.assertNotIn("2 of 3", written)
            self.assertLessEqual(max(map(columns_of, written.splitlines())), 80)

    def test_through_a_pipe(self):
        written = shown_on(None, TERM="xterm")
        self.assertNotIn("\033", written)
        self.assertEqual(written.count("Mounting the volumes."), 1)
        # Not folded: whoever reads it looks for sentences.
        self.assertEqual(len(written.splitlines()[0]), 170)
        self.assertIn(table(VOLUMES, 100), written)

    def test_a_terminal_that_knows_ascii_alone(self):
        written = shown_on(120, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", TERM="xterm", NO_COLOR="1")
        written.encode("ascii")
        self.assertIn("\\u6771\\u4eac data", written)
        self.assertLessEqual(max(map(len, screen(written))), 120)

    def test_a_closed_terminal_is_no_reason_to_fail(self):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            Talk(out=out).say("nobody reads this")
            with self.assertRaises(BrokenPipeError):
                out.flush()
            os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


if __name__ == "__main__":
    unittest.main()
