"""TLS to the server: its certificate pinned, ours presented, its refusals understood."""

import base64
import contextlib
import datetime
import json
import os
import re
import socket
import ssl
import time

from bootstrap import nameless_file
from outcome import Refused, Unreachable
from proxy import open_tcp
from tunnel import is_end

HANDSHAKE_TIMEOUT = 15
ANSWER_MAX_BYTES = 65536
# IMF-fixdate, RFC 9110 section 5.6.7.
HTTP_DATE = re.compile("^[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT$")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# What the server's alert says about our certificate (SPEC 3); the words are OpenSSL's.
ALERTS = {
    "CERTIFICATE_REVOKED": "revoked",
    "CERTIFICATE_EXPIRED": "expired",
    "UNKNOWN_CA": "unknown",
    "BAD_CERTIFICATE": "unknown",
    "CERTIFICATE_UNKNOWN": "unknown",
}


def tls_context(plan, protocol, secrets=None):
    """A context that trusts the pinned CA alone and speaks `protocol` by ALPN; with secrets, as the grant's client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if hasattr(ssl, "TLSVersion"):  # since Python 3.7
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(base64.b64decode(plan["ca_der"])))
    context.set_alpn_protocols([protocol])
    if secrets is not None:
        with pem_file(secrets["client_cert_pem"] + "\n" + secrets["client_key_pem"]) as path:
            context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def pem_file(text):
    """A path under which `text` can be read for a moment, by this process alone."""
    descriptor = nameless_file(text.encode())
    try:
        yield "/proc/self/fd/{}".format(descriptor)
    finally:
        os.close(descriptor)


def open_tls(plan, context, timeout=HANDSHAKE_TIMEOUT):
    """A TLS connection to the server; raises Refused or Unreachable."""
    sock = open_tcp(plan)
    try:
        sock.settimeout(timeout)
        return context.wrap_socket(sock, server_hostname=plan["server_name"])
    except (OSError, ssl.CertificateError) as error:  # a wrong name is no OSError before Python 3.7
        sock.close()
        raise tls_failure(error, plan)


def tls_failure(error, plan):
    """The Stop that stands for an error of a TLS connection."""
    why = refusal(error)
    if why is not None:
        return Refused(why)
    where = "{} port {}".format(plan["host"], plan["port"])
    reason = getattr(error, "reason", None) or ""
    if "CERTIFICATE_VERIFY_FAILED" in reason or isinstance(error, ssl.CertificateError):
        detail = getattr(error, "verify_message", "") or "it is for another name"
        return Unreachable(
            "What answers at {} is not the server of this script: its certificate is refused ({}). "
            "Check this machine's clock, and that nothing on the way opens TLS.".format(where, detail)
        )
    if isinstance(error, socket.timeout):
        return Unreachable("The server at {} does not answer TLS in time.".format(where))
    return Unreachable("The TLS connection to {} failed: {}.".format(where, reason or error))


def refusal(error):
    """Why the server refuses our certificate, by its alert, or None if the error is another one."""
    reason = (getattr(error, "reason", None) or "").upper().replace(" ", "_")
    if "ALERT" not in reason:
        return None
    return next((why for word, why in ALERTS.items() if word in reason), None)


def ask_grant(plan, context):
    """End of the active grant and the server's clock, both as Unix seconds; raises Refused or Unreachable."""
    with contextlib.closing(open_tls(plan, context)) as connection:
        request = "GET /api/v1/grant/self HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        try:
            with contextlib.suppress(OSError):  # the reason stands in what is read
                connection.sendall(request.format(plan["server_name"]).encode())
            answer = read_all(connection)
        except OSError as error:
            raise tls_failure(error, plan)
    return parse_answer(answer, plan)


def read_all(connection):
    answer = b""
    while len(answer) < ANSWER_MAX_BYTES:
        try:
            piece = connection.recv(16384)
        except ssl.SSLError as error:
            if not is_end(error):
                raise
            piece = b""
        if not piece:
            break
        answer += piece
    return answer


def parse_answer(answer, plan):
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines[1:])
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    status = lines[0].split(" ")[1:2]
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = unchunk(body)
        if status != ["200"]:
            raise ValueError("status " + " ".join(status))
        grant = json.loads(body.decode("utf-8"))
        state, expires_at = str(grant["state"]), unix_time(grant["expires_at"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(
            "The server at {} gives no answer about the grant ({}). Check that it is the itemlift server.".format(
                plan["host"], error
            )
        )
    if state in Refused.SENTENCES:
        raise Refused(state)
    return expires_at, server_clock(headers.get("date"))


def server_clock(date):
    """The answer's Date as Unix seconds; without one, this machine's clock has to do."""
    match = HTTP_DATE.match(date or "")
    try:
        day, month, year, hour, minute, second = match.groups()
        return unix_seconds([int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)], 0)
    except (AttributeError, ValueError):
        return int(time.time())


def unchunk(body):
    """RFC 9112 section 7.1."""
    whole = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return whole
        whole, body = whole + rest[:length], rest[length + 2 :]


def unix_time(value):
    """Seconds since 1970 of a number or of an RFC 3339 time."""
    if isinstance(value, (int, float)):
        return int(value)
    text = value.strip().upper().replace("T", " ").replace("Z", "+00:00")
    moment, sign, offset = text.rpartition("+") if "+" in text else text.rpartition("-")
    hours, minutes = offset.split(":")
    date, clock = moment.split(" ")
    numbers = [int(part) for part in date.split("-") + clock.split(".")[0].split(":")]
    shift = (int(hours) * 60 + int(minutes)) * 60 * (1 if sign == "+" else -1)
    return unix_seconds(numbers, shift)


def unix_seconds(numbers, shift):
    """Year, month, day, hour, minute and second at a place that is so many seconds before UTC. Raises ValueError."""
    if len(numbers) != 6:
        raise ValueError("no time")
    # A leap second, of which datetime knows nothing, is the next second.
    whole = datetime.datetime(*numbers[:5], tzinfo=datetime.timezone.utc)
    return int(whole.timestamp()) + numbers[5] - shift
