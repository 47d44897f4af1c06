"""Images for the initiators' scenarios: bytes that repeat nowhere, sparse where they are large."""

import os

PIECE = 1 << 20


def random_image(path, size):
    """Filled with random bytes, so that a block from the wrong place is a wrong block."""
    with open(path, "wb") as image:
        for _ in range(size // PIECE):
            image.write(os.urandom(PIECE))
        image.write(os.urandom(size % PIECE))
    return path


def sparse_image(path, size, marks):
    """Holes, but for random bytes where `marks` has offset -> length; returns those."""
    written = {}
    with open(path, "wb") as image:
        image.truncate(size)
        for offset, length in marks.items():
            written[offset] = os.urandom(length)
            image.seek(offset)
            image.write(written[offset])
    return written
