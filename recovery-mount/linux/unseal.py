"""Opens the sealed secrets with the password; src/seal.rs describes the box."""

import base64
import hashlib
import hmac
import json

VERSION = b"itemlift-seal-1"
LABEL_ENCRYPT = b"itemlift seal encryption"
LABEL_AUTHENTICATE = b"itemlift seal authentication"
SYMBOLS = "0123456789abcdefghjkmnpqrstvwxyz"
PASSWORD_LENGTH = 20
LOOK_ALIKES = str.maketrans("oil", "011")


def unseal(sealed, plan, typed):
    """The secrets as a dict, or None if the password is not the right one."""
    password = normal_password(typed)
    if password is None:
        return None
    salt = bytes.fromhex(sealed["salt"])
    ciphertext = base64.b64decode(sealed["ciphertext"])
    derived = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, sealed["iterations"], 32)
    aad = associated_data(plan)
    header = VERSION + sealed["iterations"].to_bytes(4, "big") + salt
    tag = prf(prf(derived, LABEL_AUTHENTICATE), header + len(aad).to_bytes(4, "big") + aad + ciphertext)
    if not hmac.compare_digest(tag, bytes.fromhex(sealed["tag"])):
        return None
    key = prf(derived, LABEL_ENCRYPT)
    blocks = range((len(ciphertext) + 31) // 32)
    stream = b"".join(prf(key, counter.to_bytes(8, "big")) for counter in blocks)
    return json.loads(bytes(a ^ b for a, b in zip(ciphertext, stream)).decode("utf-8"))


def normal_password(typed):
    """The 20 symbols of a password however it was typed, or None if it cannot be one."""
    symbols = "".join(typed.split()).replace("-", "").lower().translate(LOOK_ALIKES)
    if len(symbols) != PASSWORD_LENGTH or any(symbol not in SYMBOLS for symbol in symbols):
        return None
    return symbols


def associated_data(plan):
    """What the box is tied to: grant, target and the pinned server."""
    pin = hashlib.sha256(base64.b64decode(plan["ca_der"])).hexdigest()
    return "\n".join((plan["grant"], plan["iqn"], pin)).encode()


def prf(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()
