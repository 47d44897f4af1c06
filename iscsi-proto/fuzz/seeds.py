"""Makes the inputs that each fuzz target begins with: `seeds.py VECTORS FOLDER`.

Most come from the captured dialogues. How a target reads its input stands at the top of its source.
"""

import sys
from pathlib import Path

BHS = 48
MD5 = 0xFF  # Any number past the table of algorithms.


def main():
    vectors, folder = map(Path, sys.argv[1:3])
    for file in sorted(vectors.glob("*.hex")):
        lines = [line.split() for line in file.read_text().splitlines() if line[0] in "<>"]
        sent = [bytes.fromhex(pdu) for side, pdu in lines if side == ">"]
        got = [bytes.fromhex(pdu) for side, pdu in lines if side == "<"]
        for target, seeds in dialogue(sent, got).items():
            write(folder / target, file.stem, seeds)
    for target, seeds in made_up().items():
        write(folder / target, "made-up", seeds)


def write(folder, name, seeds):
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"{name}-{number}").write_bytes(seed)


def dialogue(sent, got):
    """The seeds that one dialogue gives."""
    stream = b"".join(sent)
    headers = list(dict.fromkeys(pdu[:BHS] for pdu in sent + got))
    texts = [data(pdu) for pdu in sent + got if pdu[0] & 0x3F in (0x03, 0x04, 0x23, 0x24)]
    cdbs = list(dict.fromkeys(pdu[32:BHS] for pdu in sent if pdu[0] & 0x3F == 0x01))
    return {
        "framing": [
            bytes([0, 0x20, 0, 0]) + stream,
            bytes([0, 0x20, 0, 3, 0, 47, 0, 48, 1, 0]) + stream,
            bytes([7, 0x20, 0, 1, 0, 50]) + b"".join(map(with_digests, sent)),
        ],
        "pdu": [b"".join(headers[at : at + 8]) for at in range(0, len(headers), 8)],
        "text": [bytes([1, 0, 20]) + text for text in texts if text],
        "login": [bytes([mode]) + stream for mode in (0, 2, 7 << 2)],
        "chap": [chap_value(text) for text in texts if b"CHAP_C=" in text],
        "cdb": [b"".join(b"\0" + cdb + b"\0" for cdb in cdbs)],
        "session": [bytes(1) + b"".join(map(command, cdbs))] if cdbs else [],
    }


def data(pdu):
    return pdu[BHS : BHS + int.from_bytes(pdu[5:8], "big")]


def with_digests(pdu):
    """Room for the digests, which the target fills in."""
    segment = pdu[BHS:] + bytes(4) if len(pdu) > BHS else b""
    return pdu[:BHS] + bytes(4) + segment


def chap_value(text):
    values = dict(pair.split(b"=", 1) for pair in text.split(b"\0") if pair)
    return bytes([MD5, 7, 3, 0, 0]) + values[b"CHAP_C"]


def command(cdb):
    """The session's operation for any command: 1020 bytes to read; then two PDUs are taken."""
    return bytes([4, 0, 0xFF]) + cdb + bytes([0x40, 0xFF, 0, 0, 10, 2])


def made_up():
    """What no dialogue has."""
    opcodes = [bytes([0, opcode]) + bytes(16) for opcode in range(256)]
    ready = bytes([4, 0, 0, 0, 0, 0, 0])
    read = bytes([0, 0x20, 0, 1, 64, 0])
    long_read = bytes([0, 0x20, 0, 1, 220, 0])
    finish = bytes([9, 0, 0])
    return {
        "login": [bytes([1, 0, 0, 0, 0]), bytes([1, 0, 8 + 5, 34, 0, 0, 0x3F])],
        "chap": [
            bytes([algorithm, 7, how, 0, 16]) + bytes(range(16)) + bytes([spoil, 3, 1])
            for algorithm in range(4)
            for how in range(3)
            for spoil in (0, 2, 4)
        ],
        "cdb": [b"".join(opcodes[at : at + 64]) for at in range(0, 256, 64)],
        "session": [
            bytes([choice]) + ready + bytes([10, 1]) + operations
            for choice in (0x00, 0x0F, 0x2B)
            for operations in (
                read + finish + bytes([10, 9]),
                read + long_read + bytes([9, 0, 1]) + finish + bytes([10, 3]) + finish,
                long_read + bytes([7, 1, 1, 0]) + bytes([10, 1]),
                read + bytes([9, 5, 0]),
                bytes([5, 0, 0, 1, 8, 2]) + finish + bytes([10, 1, 12, 0, 0]) + finish,
                bytes([6, 0, 3]) + b"abc" + bytes([8, 0x80, 7, 1, 5, 0]),
                bytes([0, 0x22, 0, 1, 64, 0]) + read + bytes([11, 0]),
                read + bytes([15, 5, 5, 10, 5]),
            )
        ],
    }


main()
