"""A stream as a terminal, if it is one: how wide it is, what stands out on it, a last line that is written anew."""

import os

from columns import cut

# ECMA-48: SGR, which says how text looks, and EL, which erases a line to its end.
LOOKS = {"title": "1", "good": "32", "odd": "33", "bad": "1;31"}
LOOK, PLAIN = "\033[{}m", "\033[0m"
ERASE = "\r\033[K"
# Terminals that know no such sequences.
PLAIN_TERMINALS = ("", "dumb", "unknown")
# What does not say how wide it is: a file or a pipe, whose reader may be wide, and a serial line.
WIDTH_OF_A_FILE, WIDTH_OF_A_TERMINAL = 100, 80


class Terminal:
    """Writes whole lines, and below them one that says what is going on until the next word."""

    def __init__(self, out):
        self.out = out
        self.is_one = out.isatty()
        self.steers = self.is_one and os.environ.get("TERM", "") not in PLAIN_TERMINALS
        # https://no-color.org: present and not empty.
        self.coloured = self.steers and not os.environ.get("NO_COLOR")
        self.below = ""

    def width(self):
        if not self.is_one:
            return WIDTH_OF_A_FILE
        try:
            return os.get_terminal_size(self.out.fileno()).columns or WIDTH_OF_A_TERMINAL
        except OSError:
            return WIDTH_OF_A_TERMINAL

    def write(self, lines, look=None):
        """Puts lines above the one below; they must hold nothing that steers a terminal."""
        text = "".join(self.looking(line, look) + "\n" for line in lines)
        self.put(self.erasure() + text + self.below)

    def write_below(self, text):
        """What is going on now, in place of what was said there before; nothing for an empty text."""
        # A full line would be wrapped, and then not be erased.
        text = cut(text, self.width() - 1)
        if self.steers and text != self.below:
            erasure = self.erasure()
            self.below = text
            self.put(erasure + text)

    def erasure(self):
        return ERASE if self.below else ""

    def looking(self, line, look):
        return LOOK.format(LOOKS[look]) + line + PLAIN if self.coloured and look and line else line

    def put(self, text):
        """A closed terminal is no reason to fail."""
        try:
            self.out.write(text)
            self.out.flush()
        except (OSError, ValueError):
            pass
