"""What takes long to make is kept under target/guest, named after the hash of its recipe."""

import hashlib
import json
import os
import shutil
import sys
import threading
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
GUEST_FILES = REPOSITORY / "tests" / "guest"
CACHE = REPOSITORY / "target" / "guest"

# Of each kind, one is built at a time; whoever comes meanwhile waits for it.
_building = defaultdict(threading.Lock)


def say(text):
    """Progress goes to stderr; stdout is for the results."""
    print(text, file=sys.stderr, flush=True)


def recipe_hash(*ingredients):
    """Sixteen hex digits over the ingredients: text, or anything that JSON can hold."""
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()[:16]


def cached(kind, key, build):
    """The folder `kind-key`; `build(folder)` fills it when it is not there yet.

    It is filled under another name and renamed when complete, so that an interrupted build
    is never taken for a finished one. Older versions of the same kind are removed.
    """
    with _building[kind]:
        return _cached(kind, key, build)


def _cached(kind, key, build):
    folder = CACHE / f"{kind}-{key}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    unfinished = CACHE / f"{kind}-{key}.unfinished-{os.getpid()}"
    unfinished.mkdir()
    try:
        build(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for old in CACHE.glob(f"{kind}-*"):
        if old != folder and ".unfinished-" not in old.name:
            shutil.rmtree(old, ignore_errors=True)
    return folder
