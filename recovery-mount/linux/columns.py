"""Text for a terminal, by the columns that it takes there: cut, filled up, folded between words."""

import unicodedata

CUT = "..."


def columns_of(text):
    """How many columns a terminal gives to a text: two to a wide letter, none to an accent."""
    if len(text) == len(text.encode("utf-8", "replace")):
        return len(text)
    return sum(column_count(character) for character in text)


def column_count(character):
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text, width):
    """The text in so many columns: the middle is left out, for names often differ at their end."""
    if columns_of(text) <= width:
        return text
    room = max(0, width - len(CUT))
    tail = first_columns(text[::-1], room // 2)[::-1]
    return first_columns(text, room - columns_of(tail)) + CUT + tail


def first_columns(text, width):
    taken = ""
    for character in text:
        width -= column_count(character)
        if width < 0:
            break
        taken += character
    return taken


def filled(text, width):
    return text + " " * (width - columns_of(text))


def folded(text, width, indent=0):
    """Lines no wider than this where that can be, broken between words; those after the first are indented.

    No word is cut, so that a path or a command can be copied.
    """
    lines = []
    for word in text.split(" "):
        if lines and columns_of(lines[-1]) + 1 + columns_of(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append((" " * indent if lines else "") + word)
    return lines


def printable(text):
    """Names from a backup may hold anything: what is not printable is escaped, so that it steers no terminal."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
