"""What the user sees and is asked: messages, questions, the password."""

import getpass
import os
import select
import sys

from columns import folded, printable
from outcome import REFUSED, Stop
from terminal import Terminal
from unseal import unseal

PASSWORD_TRIES = 3
KEY_TRIES = 3
PASSWORD_MAX_BYTES = 256
# What cryptsetup takes at most; and how long a line that is not there yet is waited for. Seconds.
KEY_MAX_BYTES = 512
KEY_WAIT = 5
YES_OR_NO = " [y/N] "


class Talk:
    """Messages go to standard output, or to standard error when that is kept for the report."""

    def __init__(self, as_json=False, yes=False, out=None, keys_from_stdin=False):
        self.as_json = as_json
        self.yes = yes
        self.keys_from_stdin = keys_from_stdin
        self.key_tries = 1 if keys_from_stdin else KEY_TRIES
        self.out = out or (sys.stderr if as_json else sys.stdout)
        self.terminal = Terminal(self.out)
        self.stage = ""

    def say(self, text="", look=None, indent=0):
        """One message; on a terminal it is folded between words, the lines after the first indented."""
        shown = self.shown(text)
        self.terminal.write(folded(shown, self.width(), indent) if self.terminal.is_one else [shown], look)

    def show(self, lines):
        """Lines that are laid out already and shown(), each with its look."""
        for line, look in lines:
            self.terminal.write([line], look)

    def fail(self, sentence):
        """The last word of a run that did not do what it was asked."""
        self.below("")
        Talk(out=sys.stderr).say("itemlift: " + sentence, "bad")

    def below(self, text):
        """What stays at the bottom of a terminal until something else does; nothing elsewhere."""
        self.terminal.write_below(self.shown(text))

    def progress(self, stage, count=""):
        """What is going on: at the bottom of a terminal; elsewhere each stage is a line, and nothing is counted."""
        if self.terminal.steers:
            self.below(stage + count)
        elif stage != self.stage:
            self.say(stage)
        self.stage = stage

    def width(self):
        return self.terminal.width()

    def shown(self, text):
        """The text of a message: names of VMs, disks, processes and paths may hold anything.

        What steers a terminal, or what it cannot show, is escaped.
        """
        encoding = getattr(self.out, "encoding", None) or "ascii"
        return printable(text).encode(encoding, "backslashreplace").decode(encoding)

    def agrees(self, question):
        """Whether the user says yes; --yes has said so already; without a terminal it is no."""
        if self.yes:
            self.say(question + " yes (--yes)")
            return True
        if not sys.stdin.isatty():
            self.say(question + " no (not a terminal; --yes agrees)")
            return False
        self.below("")
        self.terminal.put("\n".join(folded(self.shown(question), self.width() - len(YES_OR_NO))) + YES_OR_NO)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def ask_key(self, prompt):
        """The key of an encrypted volume, nothing if there is none: typed, or the next line of standard input."""
        if self.keys_from_stdin:
            self.say(prompt + ": from standard input")
            return read_line(0, KEY_MAX_BYTES) if select.select([0], [], [], KEY_WAIT)[0] else ""
        if not sys.stdin.isatty():
            return ""
        self.below("")
        try:
            return getpass.getpass(self.shown(prompt) + ": ")
        except EOFError:
            return ""


def ask_secrets(talk, sealed, plan, from_stdin):
    """Asks for the password until it opens the box; a line from standard input is tried once."""
    if from_stdin:
        secrets = unseal(sealed, plan, read_line(0))
        if secrets is None:
            raise Stop(REFUSED, "Wrong password.")
        return secrets
    if not sys.stdin.isatty():
        raise Stop(REFUSED, "There is no terminal to ask for the password on. Use --password-stdin.")
    for left in reversed(range(PASSWORD_TRIES)):
        try:
            typed = getpass.getpass("Password of the grant: ")
        except EOFError:
            break
        secrets = unseal(sealed, plan, typed)
        if secrets is not None:
            return secrets
        if left:
            talk.say("Wrong password. {} left.".format("1 try" if left == 1 else "{} tries".format(left)))
    raise Stop(REFUSED, "Wrong password. It was shown when the grant was created; without it, create a new grant.")


def read_line(descriptor, limit=PASSWORD_MAX_BYTES):
    """One line, and not a byte more: the rest of standard input is for later."""
    line = b""
    while len(line) < limit:
        byte = os.read(descriptor, 1)
        if byte in (b"", b"\n"):
            break
        line += byte
    return line.decode("utf-8", "replace")
