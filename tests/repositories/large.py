"""A snapshot of a disk of a terabyte, without a terabyte: folder, index, snapshot are as restic
writes them; of the packs they name only those with the disk's first and last blob are there."""

import base64
import hashlib
import json
import os
import random
import subprocess

from daemon import must

MIB = 1 << 20
# As restic's chunker cuts: from 512 KiB to 8 MiB, 1.5 MiB on the average.
SMALLEST_BLOB, LARGEST_BLOB = MIB // 2, 5 * MIB // 2
# Blobs of a pack, and packs of an index file, as restic fills them.
PACK_BLOBS, INDEX_PACKS = 11, 4500
FILE = "disk0.raw"


class Seal:
    """What closes the files of a repository: AES-256-CTR and Poly1305-AES, by openssl."""

    def __init__(self, repository, folder):
        self.scratch = folder / "scratch"
        key = json.loads(repository.restic("cat", "masterkey"))
        decoded = {name: base64.b64decode(key["mac"][name]) for name in ("k", "r")}
        self.encrypt = base64.b64decode(key["encrypt"]).hex()
        self.k, self.r = decoded["k"].hex(), decoded["r"].hex()

    def __call__(self, content):
        nonce = os.urandom(16)
        cipher = ["enc", "-aes-256-ctr", "-K", self.encrypt, "-iv", nonce.hex()]
        sealed = openssl(cipher, content)
        pad = openssl(["enc", "-aes-128-ecb", "-nopad", "-K", self.k], nonce)
        self.scratch.write_bytes(sealed)
        mac = [
            "mac",
            "-macopt",
            f"hexkey:{self.r}{pad.hex()}",
            "-in",
            str(self.scratch),
            "Poly1305",
        ]
        return nonce + sealed + bytes.fromhex(must(["openssl", *mac]).strip())


def openssl(words, content):
    return subprocess.run(["openssl", *words], input=content, stdout=-1, check=True).stdout


def large_snapshot(repository, folder, size, vm):
    """Puts a snapshot of a raw disk of `size` bytes into a repository that lies in a folder.

    Gives what the disk's first and last blobs hold, and the number of all.
    """
    seal, chance = Seal(repository, folder), random.Random(size)
    root = repository.store.folder / repository.name
    lengths = blob_lengths(chance, size)
    ends = [chance.randbytes(length) for length in (lengths[0], lengths[-1])]
    ids = [chance.randbytes(32).hex() for _ in lengths]
    ids[0], ids[-1] = map(sha256, ends)
    packs = [
        {"id": chance.randbytes(32).hex(), "blobs": blobs_at(ids, lengths, first)}
        for first in range(1, len(ids) - 1, PACK_BLOBS)
    ]
    for content in ends:
        packs.append(pack(root, seal, "data", content))
    node = {"name": FILE, "type": "file", "mode": 0o600, "size": size, "links": 1, "content": ids}
    tree = json.dumps({"nodes": [node]}).encode()
    packs.append(pack(root, seal, "tree", tree))
    for first in range(0, len(packs), INDEX_PACKS):
        put(root / "index", seal(as_json(packs=packs[first : first + INDEX_PACKS])))
    words = {"time": "2026-11-20T02:00:00Z", "tree": sha256(tree), "paths": ["/" + FILE]}
    put(root / "snapshots", seal(as_json(**words, hostname=vm, username="root")))
    return ends, len(ids)


def blob_lengths(chance, size):
    lengths, left = [], size
    while left > LARGEST_BLOB:
        lengths.append(chance.randrange(SMALLEST_BLOB, LARGEST_BLOB))
        left -= lengths[-1]
    return [*lengths, left]


def blobs_at(ids, lengths, first):
    blobs, offset = [], 0
    for at in range(first, min(first + PACK_BLOBS, len(ids) - 1)):
        # Sealed, and not compressed.
        blobs.append(blob(ids[at], "data", offset, lengths[at] + 32))
        offset += lengths[at] + 32
    return blobs


def blob(name, kind, offset, length):
    return {"id": name, "type": kind, "offset": offset, "length": length}


def pack(root, seal, kind, content):
    """Writes a pack of one blob; gives what the index says of it."""
    sealed = seal(content)
    entry = bytes([kind == "tree"]) + len(sealed).to_bytes(4, "little")
    header = seal(entry + hashlib.sha256(content).digest())
    whole = sealed + header + len(header).to_bytes(4, "little")
    name = sha256(whole)
    put(root / "data" / name[:2], whole)
    return {"id": name, "blobs": [blob(sha256(content), kind, 0, len(sealed))]}


def put(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / sha256(content)).write_bytes(content)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def as_json(**fields):
    return json.dumps(fields).encode()
