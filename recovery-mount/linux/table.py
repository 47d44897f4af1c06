"""The volumes as a table, and sizes and times in words."""

HEADINGS = ("Volume", "Disk", "Where", "Type", "Label", "Size", "Mounted at")
MAX_CELL = 24


def volume_table(volumes, width):
    """Lines of a table of volume reports; a path or reason that does not fit goes on a line of its own."""
    rows = [row(volume) for volume in volumes]
    columns = list(zip(*([HEADINGS[:-1]] + [cells for cells, _ in rows])))
    widths = [max(len(cell) for cell in column) for column in columns]
    room = width - sum(widths) - 2 * len(widths)
    beside = all(len(last) <= room for _, last in rows) and room >= len(HEADINGS[-1])
    lines = [line(HEADINGS[:-1], widths) + ("  " + HEADINGS[-1] if beside else "")]
    for volume, (cells, last) in zip(volumes, rows):
        if beside:
            lines.append(line(cells, widths) + "  " + last)
        else:
            lines += [line(cells, widths).rstrip()] + folded(last, width)
        if volume["mounted"] and volume["reason"]:
            lines += folded("note: " + printable(volume["reason"]), width)
    return [text.rstrip() for text in lines]


def row(volume):
    """The cells of a volume, and its path or the reason why it has none."""
    cells = (volume["name"], volume["disk"], volume["source"], volume["fs"], volume["label"], size(volume["size"]))
    last = volume["path"] if volume["mounted"] else "not mounted: " + (volume["reason"] or "closed")
    return tuple(cell(text) for text in cells), printable(last)


def cell(text):
    text = printable(text or "-")
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 3] + "..."


def line(cells, widths):
    return "  ".join(text.ljust(width) for text, width in zip(cells, widths))


def folded(text, width):
    """A long text below its row: paths stay whole, so that they can be copied; reasons are broken between words."""
    if text.startswith("/"):
        return ["    " + text]
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width - 4:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return ["    " + text for text in lines]


def printable(text):
    """Names from a backup may hold anything: what is not printable is escaped, so that it steers no terminal."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def size(count):
    """Bytes in words: 1.5 GiB."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    index = 0
    while count >= 1024 and index + 1 < len(units):
        count /= 1024
        index += 1
    return "{} {}".format(count if index == 0 else "{:.1f}".format(count), units[index])


def duration(seconds):
    """Seconds in words: 11 h 59 min."""
    minutes = max(0, int(seconds)) // 60
    if minutes >= 60:
        return "{} h {} min".format(minutes // 60, minutes % 60)
    return "{} min".format(minutes) if minutes else "less than a minute"
