"""The volumes as a table, and sizes and times in words."""

from columns import columns_of, cut, filled, folded

HEADINGS = ("Volume", "Disk", "Where", "Type", "Label", "Size", "Mounted at")
GAP = "  "
# Disk, Where and Label may be long: how wide they are at most, and at least where the terminal is narrow.
LONG_CELLS = (1, 2, 4)
WIDEST_CELL, NARROWEST_CELL = 24, 8
INDENT = 4


def volume_table(volumes, width, shown):
    """Lines of a table of volume reports with how each looks; `shown` is a text as the terminal can show it.

    Paths are beside the rest if all of them fit, else below it, and so is each reason. No line is wider than `width`,
    but for paths, which stay whole so that they can be copied.
    """
    rows = [row(volume, shown) for volume in volumes]
    last_words = [words_of(volume, shown) for volume in volumes]
    widths = [max(columns_of(cell) for cell in column) for column in zip(*([HEADINGS[:-1]] + rows))]
    room = width - sum(widths) - len(GAP) * len(widths)
    paths = [words for volume, words in zip(volumes, last_words) if volume["mounted"]]
    beside = all(columns_of(words) <= room for words in paths + [HEADINGS[-1]])
    if not beside:
        widths = narrowed(widths, width)
    lines = [(line(HEADINGS if beside else HEADINGS[:-1], widths), "title")]
    for volume, cells, words in zip(volumes, rows, last_words):
        look = None if volume["mounted"] else "odd"
        if beside and columns_of(words) <= room:
            lines.append((line(cells + (words,), widths), look))
        else:
            below = [words] if volume["mounted"] else folded(words, width - INDENT)
            lines += [(text, look) for text in [line(cells, widths)] + indented(below)]
        if volume["mounted"] and volume["reason"]:
            note = folded("note: " + shown(volume["reason"]), width - INDENT)
            lines += [(text, "odd") for text in indented(note)]
    return lines


def row(volume, shown):
    texts = (volume["name"], volume["disk"], volume["source"], volume["fs"], volume["label"], size(volume["size"]))
    return tuple(cut(shown(text or "-"), WIDEST_CELL) for text in texts)


def words_of(volume, shown):
    """The path of a volume, or the reason why it has none."""
    return shown(volume["path"] if volume["mounted"] else "not mounted: " + (volume["reason"] or "closed"))


def narrowed(widths, width):
    """The widths with the widest of the long cells cut until a row fits, as far as that goes."""
    widths = list(widths)
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        widest = max(LONG_CELLS, key=lambda index: widths[index])
        if widths[widest] <= NARROWEST_CELL:
            break
        widths[widest] -= 1
    return widths


def line(cells, widths):
    texts = [filled(cut(text, width), width) for text, width in zip(cells, widths)]
    return GAP.join(texts + list(cells[len(widths) :])).rstrip()


def indented(lines):
    return [" " * INDENT + text for text in lines]


def size(count):
    """Bytes in words: 1.5 GiB."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    index = 0
    while count >= 1024 and index + 1 < len(units):
        count /= 1024
        index += 1
    return "{} {}".format(count if index == 0 else "{:.1f}".format(count), units[index])


def counted(count, thing):
    """1 disk, 2 disks."""
    return "{} {}{}".format(count, thing, "" if count == 1 else "s")


def duration(seconds):
    """Seconds in words: 11 h 59 min."""
    minutes = max(0, int(seconds)) // 60
    if minutes >= 60:
        return "{} h {} min".format(minutes // 60, minutes % 60)
    return "{} min".format(minutes) if minutes else "less than a minute"
