"""The script's check of itself, before it does anything: is this, byte for byte, what was signed?

The end of the file is a CMS signature in PEM, as comment lines. Lines that begin with "# SIG " hold the digest of all
the others and the signature; see src/sign.rs for the form. Whoever can change the script can change this check as
well: it finds damage. To find malice, verify with OpenSSL and the server's CA as the header says.
"""

import base64
import hashlib
import hmac

from outcome import REFUSED, Stop

SETTLED = b"# CMS "
LATE = b"# SIG "
BEGIN = SETTLED + b"-----BEGIN CMS-----\n"
END = SETTLED + b"-----END CMS-----\n"
LINE_BYTES = 48
DIGEST_BYTES = 32
# DigestInfo of SHA-256, RFC 8017 section 9.2, note 1.
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def check_self(content, signature):
    """Raises Stop unless `content`, the bytes of the script, are what `signature` (the embedded table) speaks of."""
    if not is_intact(content, signature):
        raise Stop(
            REFUSED,
            "This script was changed or damaged after it was signed. Do not run it; get it again "
            "from whoever created the grant.",
        )


def is_intact(content, signature):
    start = content.rfind(b"\n" + BEGIN) + 1
    block = content[start:]
    if start == 0 or not block.endswith(END):
        return False
    encoded = b"".join(line[len(LATE) :] for line in block.split(b"\n")[1:-2])
    try:
        der = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    late = late_lines(signature)
    if render(der, late, True) != block:
        return False
    if any(line.startswith((SETTLED, LATE)) for line in content[:start].split(b"\n")):
        return False
    digest = hashlib.sha256(content[:start] + render(der, late, False)).digest()
    claimed = der[signature["digest_at"] : signature["digest_at"] + DIGEST_BYTES]
    # RFC 5652 section 5.4: the attributes are signed as a SET, whatever their tag in the block is.
    attributes = der[signature["attributes_at"] : signature["attributes_at"] + signature["attributes_len"]]
    value = der[signature["signature_at"] :]
    return hmac.compare_digest(digest, claimed) and rsa_verifies(b"\x31" + attributes[1:], value, signature)


def late_lines(signature):
    """A test for the offset of a line: does it hold a byte of the digest or of the signature?"""

    def late(offset):
        touches = signature["digest_at"] - LINE_BYTES < offset < signature["digest_at"] + DIGEST_BYTES
        return touches or offset >= signature["signature_at"]

    return late


def render(der, late, with_late):
    """The signature block as it must stand in the file, with the late lines or without."""
    lines = [BEGIN]
    for offset in range(0, len(der), LINE_BYTES):
        if with_late or not late(offset):
            prefix = LATE if late(offset) else SETTLED
            lines.append(prefix + base64.b64encode(der[offset : offset + LINE_BYTES]) + b"\n")
    return b"".join(lines + [END])


def rsa_verifies(message, value, signature):
    """RSASSA-PKCS1-v1_5, RFC 8017 section 8.2.2: compare with the one right encoding."""
    modulus = int(signature["modulus"], 16)
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(value, "big")
    if len(value) != size or number >= modulus:
        return False
    digest_info = DIGEST_INFO + hashlib.sha256(message).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(digest_info) - 3) + b"\x00" + digest_info
    found = pow(number, int(signature["exponent"], 16), modulus).to_bytes(size, "big")
    return hmac.compare_digest(found, expected)
