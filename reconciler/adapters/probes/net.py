"""Probe over TCP and over HTTP."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import SplitResult, quote, urlsplit

from reconciler.adapters.probes.place import ProbeError
from reconciler.model.spec import HttpTarget, TcpTarget

BODY_LIMIT = 65536
"""Bytes of an answer's body that are read, so that the server is not cut off in mid-sentence."""
BODY_TIME_S = 0.25
HEAD_LIMIT = 16384
_UNQUOTED = "/%:@!$&'()*+,;=~-._?"

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Intruder = Callable[[int], Awaitable[str]]
"""Says who else answers on a port of this host; nothing where that is the service itself."""


async def ask_tcp(target: TcpTarget, expand: Callable[[str], str], intruder: Intruder) -> str:
    """Connect and hang up."""
    host = expand(target.host)
    async with _connected(host, target.port) as (_, writer):
        is_here = _is_here(writer)
    await _refuse_intruder(target.port, intruder, is_here=is_here)
    return f"{_address(host, target.port)} accepts connections"


async def ask_http(target: HttpTarget, expand: Callable[[str], str], intruder: Intruder) -> str:
    """Ask once with GET, follow no redirect, and judge the status."""
    url = urlsplit(expand(target.url))
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ProbeError(f"cannot ask {url.geturl()!r}: not an http or https URL")
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    async with _connected(url.hostname, port, secure=secure) as (reader, writer):
        writer.write(_request(url))
        status = _status(await _head(reader))
        await _hear_out(reader)
        is_here = _is_here(writer)
    if not _is_wanted(status, target.expected_status):
        raise ProbeError(f"status {status}, want {_wanted(target.expected_status)}")
    await _refuse_intruder(port, intruder, is_here=is_here)
    return f"status {status}"


async def _refuse_intruder(port: int, intruder: Intruder, *, is_here: bool) -> None:
    """Count no answer that somebody else gave."""
    said = await intruder(port) if is_here else ""
    if said:
        raise ProbeError(said)


def _is_here(writer: asyncio.StreamWriter) -> bool:
    """Tell whether the other end is on this host: then both ends have the same address."""
    own, other = (writer.get_extra_info(name) for name in ("sockname", "peername"))
    return own is not None and other is not None and _is_same_host(own[0], other[0])


def _is_same_host(own: str, other: str) -> bool:
    """Compare the addresses of two ends.

    >>> _is_same_host("10.0.0.7", "10.0.0.7"), _is_same_host("127.0.0.1", "127.0.0.2")
    (True, True)
    >>> _is_same_host("10.0.0.7", "10.0.0.8"), _is_same_host("fe80::1%eth0", "fe80::2%eth0")
    (False, False)
    """
    return own == other or ipaddress.ip_address(other).is_loopback


@asynccontextmanager
async def _connected(host: str, port: int, *, secure: bool = False) -> AsyncIterator[Connection]:
    """Connect, and hang up at the end; what refuses is named with its address."""
    try:
        reader, writer = await asyncio.open_connection(
            host, port, ssl=_trusting() if secure else None, limit=HEAD_LIMIT
        )
    except OSError as why:
        raise ProbeError(f"{_refusal(why)} by {_address(host, port)}") from why
    try:
        if writer.get_extra_info("sockname") == writer.get_extra_info("peername"):
            # A free port of the ephemeral range can be given to our own end: TCP then connects
            # the socket to itself.
            raise ProbeError(f"connection refused by {_address(host, port)}")
        yield reader, writer
    finally:
        writer.transport.abort()


def _trusting() -> ssl.SSLContext:
    """Accept any certificate: the question is whether it answers, not who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(why: OSError) -> str:
    if isinstance(why, socket.gaierror):
        return "name not resolved"
    if isinstance(why, ssl.SSLError):
        return f"TLS refused ({why.reason or 'no reason given'})"
    if isinstance(why, ConnectionRefusedError) or "Connect call failed" in str(why):
        return "connection refused"
    return (os.strerror(why.errno) if why.errno else str(why)).lower()


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _request(url: SplitResult) -> bytes:
    path = quote(url.path or "/", safe=_UNQUOTED)
    query = f"?{quote(url.query, safe=_UNQUOTED)}" if url.query else ""
    head = f"GET {path}{query} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\n"
    rest = "User-Agent: weaver-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    return (head + rest).encode()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as why:
        if not why.partial:
            raise ProbeError("it hung up without an answer") from why
        return why.partial
    except ConnectionError as why:
        raise ProbeError("it hung up without an answer") from why
    except asyncio.LimitOverrunError as why:
        raise ProbeError(f"an answer's head of more than {HEAD_LIMIT} bytes") from why


async def _hear_out(reader: asyncio.StreamReader) -> None:
    """Read the body: hanging up before it is written fills a server's log with broken pipes."""
    left = BODY_LIMIT
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(BODY_TIME_S):
            while left > 0 and (chunk := await reader.read(left)):
                left -= len(chunk)


def _status(head: bytes) -> int:
    r"""Read the status out of an answer's head.

    >>> _status(b"HTTP/1.1 204 No Content\r\n\r\n")
    204
    """
    line = head.split(b"\r\n", 1)[0].split(b" ")
    if len(line) < 2 or not line[0].startswith(b"HTTP/1.") or not line[1].isdigit():
        raise ProbeError(f"the answer is not HTTP: {head[:40]!r}")
    return int(line[1])


def _is_wanted(status: int, expected: tuple[int, ...]) -> bool:
    return status in expected if expected else 200 <= status < 400


def _wanted(expected: tuple[int, ...]) -> str:
    return " or ".join(map(str, expected)) if expected else "2xx or 3xx"
