"""TCP to the server: straight, or through the HTTP proxy that the environment names for HTTPS."""

import base64
import os
import socket
import urllib.parse

from outcome import Unreachable

CONNECT_TIMEOUT = 10
REPLY_MAX_BYTES = 16384


def open_tcp(plan, timeout=CONNECT_TIMEOUT):
    """A connected socket to the server; raises Unreachable with what failed and what to check."""
    proxy = proxy_for(plan["host"], plan["port"])
    if proxy is None:
        return connect_tcp(plan["host"], plan["port"], timeout, "the server")
    sock = connect_tcp(proxy.hostname, proxy.port or 8080, timeout, "the HTTPS proxy")
    try:
        ask_proxy(sock, proxy, plan)
    except Exception:
        sock.close()
        raise
    return sock


def proxy_for(host, port):
    """The proxy's URL, parsed, or None if the server is to be reached straight."""
    address = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if not address or excepted(host, port, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""):
        return None
    proxy = urllib.parse.urlsplit(address if "://" in address else "http://" + address)
    try:
        port_is_number = proxy.port is None or proxy.port > 0
    except ValueError:
        port_is_number = False
    if proxy.scheme != "http" or not proxy.hostname or not port_is_number:
        raise Unreachable("https_proxy names no HTTP proxy (http://HOST:PORT): correct or unset it.")
    return proxy


def excepted(host, port, exceptions):
    """Whether no_proxy (host names, domain suffixes, addresses, each with or without port, or *) holds the server."""
    host = host.lower()
    if host in ("localhost", "::1") or host.startswith("127."):
        return True
    for entry in exceptions.lower().replace(" ", ",").split(","):
        name = entry
        if entry.count(":") == 1 or entry.startswith("["):
            name, _, entry_port = entry.rpartition(":") if not entry.endswith("]") else (entry, "", "")
            if entry_port and entry_port != str(port):
                continue
        name = name.strip("[]").lstrip("*").lstrip(".")
        if entry == "*" or (name and (host == name or host.endswith("." + name))):
            return True
    return False


def connect_tcp(host, port, timeout, what):
    where = "{} at {} port {}".format(what, host, port)
    try:
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable("Cannot find {}: the name does not resolve ({}). Check DNS.".format(where, error.strerror))
    last = None
    for family, kind, protocol, _, address in addresses:
        sock = None
        try:
            sock = socket.socket(family, kind, protocol)
            sock.settimeout(timeout)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            last = error
            if sock is not None:
                sock.close()
    if isinstance(last, socket.timeout):
        raise Unreachable(
            "Cannot reach {}: no answer within {} s. Check that a firewall lets TCP port {} out.".format(
                where, timeout, port
            )
        )
    raise Unreachable(
        "Cannot reach {}: {}. Check that the server runs and that its port is open.".format(
            where, last.strerror if last and last.strerror else last
        )
    )


def ask_proxy(sock, proxy, plan):
    """CONNECT, RFC 9110 section 9.3.6."""
    host = "[{}]".format(plan["host"]) if ":" in plan["host"] else plan["host"]
    target = "{}:{}".format(host, plan["port"])
    lines = ["CONNECT {} HTTP/1.1".format(target), "Host: {}".format(target)]
    if proxy.username is not None:
        login = "{}:{}".format(urllib.parse.unquote(proxy.username), urllib.parse.unquote(proxy.password or ""))
        lines.append("Proxy-Authorization: Basic " + base64.b64encode(login.encode("utf-8")).decode())
    try:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"))
        status = read_proxy_status(sock)
    except OSError as error:
        raise Unreachable("The HTTPS proxy {} broke off: {}.".format(proxy.hostname, error))
    if status == 407:
        raise Unreachable(
            "The HTTPS proxy {} wants a login: set https_proxy=http://USER:PASSWORD@HOST:PORT.".format(proxy.hostname)
        )
    if not 200 <= status < 300:
        raise Unreachable(
            "The HTTPS proxy {} refuses to connect to {} (status {}). Ask for that port to be opened.".format(
                proxy.hostname, target, status
            )
        )


def read_proxy_status(sock):
    """Reads the answer's head byte by byte, for what follows it belongs to TLS."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte or len(head) > REPLY_MAX_BYTES:
            raise OSError("no answer to CONNECT")
        head += byte
    parts = head.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise OSError("its answer is not HTTP")
    return int(parts[1])
