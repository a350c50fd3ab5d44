"""Connect to a port or to a socket's path, plainly or by TLS, and pass bytes to and fro.

Plain sockets on the loop: streams and transports of asyncio cost three times as much, which counts
where a thousand services are checked every few seconds.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeVar

from reconciler.adapters.checks.names import Names
from reconciler.adapters.checks.place import ProbeError
from reconciler.model.health import CheckFault

CHUNK = 65536
FULL_QUEUE_S = 0.05
"""How long to wait for a place in the queue of a unix socket, which nobody is told of."""

Own = Callable[[], tuple[str, ...]]
"""Gives the addresses that we listen on ourselves: `127.0.0.1:9100`, `unix:/run/weaver.sock`."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What to connect to."""

    host: str = ""
    port: int = 0
    address: str = ""
    """Of the host, where that is known already."""
    path: str = ""
    """Of a unix socket, in the place of host and port."""
    secure: bool = False
    verify: bool = False
    """Whether it has to show a certificate that this host trusts."""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Link(Protocol):
    """A connection."""

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        ...

    async def receive(self) -> bytes:
        """Give what comes next; nothing at the end."""
        ...


class Connected:
    """A connection, and whom it leads to."""

    def __init__(self, link: Link, sock: socket.socket) -> None:
        self.link = link
        self._sock = sock

    @property
    def is_here(self) -> bool:
        """Tell whether the other end is a port of this host."""
        return self._sock.family is not socket.AF_UNIX and is_here(self._sock)

    @property
    def peer(self) -> str:
        """Give the address of the other end; empty where it is a path."""
        return "" if self._sock.family is socket.AF_UNIX else str(self._sock.getpeername()[0])


class Network:
    """How this host reaches others; `own` are the addresses that are never asked."""

    def __init__(self, names: Names, own: Own = lambda: ()) -> None:
        self._names = names
        self._own = own

    @asynccontextmanager
    async def connected(self, to: Endpoint) -> AsyncIterator[Connected]:
        """Connect, and hang up at the end."""
        sock = await (self._unix(to) if to.path else self._tcp(to))
        try:
            link: Link = _Plain(sock)
            if to.secure:
                link = await _shaken(link, to)
            yield Connected(link, sock)
        except ssl.SSLError as why:
            raise ProbeError(_tls_refusal(why, to), CheckFault.TLS) from why
        except OSError as why:
            text = f"the connection was {_broken(why)} by {to}"
            raise ProbeError(text, CheckFault.CONNECTION) from why
        finally:
            sock.close()

    async def _tcp(self, to: Endpoint) -> socket.socket:
        """Connect to the first address that lets us."""
        try:
            addresses = await self._names.addresses(to.address or to.host)
        except ProbeError as why:
            raise ProbeError(f"name not resolved by {to}", CheckFault.NAME) from why
        refusal: OSError | None = None
        for address in addresses:
            _refuse_link_local(address, to)
            try:
                sock = await _open(address, to)
            except OSError as why:
                refusal = refusal or why
                continue
            self._refuse_own(sock, to)
            return sock
        assert refusal is not None
        raise ProbeError(f"{_refusal(refusal)} by {to}", CheckFault.REFUSED) from refusal

    async def _unix(self, to: Endpoint) -> socket.socket:
        if any(_is_same_file(own, to.path) for own in self._own()):
            raise ProbeError(f"cannot ask {to}: it is Weaver's own API", CheckFault.FORBIDDEN)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # The loop takes a full queue for a connection under way, and it is none.
            while True:
                try:
                    sock.connect(to.path)
                except BlockingIOError:
                    await asyncio.sleep(FULL_QUEUE_S)
                else:
                    return sock
        except OSError as why:
            sock.close()
            raise ProbeError(f"{_refusal(why)} by {to}", CheckFault.REFUSED) from why
        except BaseException:
            sock.close()
            raise

    def _refuse_own(self, sock: socket.socket, to: Endpoint) -> None:
        """Hang up where we ourselves would answer."""
        for own in self._own():
            host, _, port = own.rpartition(":")
            if port == str(to.port) and is_here(sock) and _is_bound_at(host, sock):
                sock.close()
                raise ProbeError(f"cannot ask {to}: it is Weaver's own API", CheckFault.FORBIDDEN)

    def close(self) -> None:
        """Wait for no name any more."""
        self._names.close()


def _refuse_link_local(address: str, to: Endpoint) -> None:
    if ipaddress.ip_address(address).is_link_local:
        why = "addresses of the link, which a cloud has its secrets on, are never asked"
        raise ProbeError(f"cannot ask {to}: {why}", CheckFault.FORBIDDEN)


async def _open(address: str, to: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address, to.port))
    except BaseException:
        sock.close()
        raise
    if sock.getsockname() == sock.getpeername():
        # A free port of the ephemeral range can be given to our own end: TCP then connects the
        # socket to itself.
        sock.close()
        raise ConnectionRefusedError
    return sock


def is_here(sock: socket.socket) -> bool:
    """Tell whether the other end is on this host: then both ends have the same address."""
    return is_same_host(sock.getsockname()[0], sock.getpeername()[0])


def is_same_host(own: str, other: str) -> bool:
    """Compare the addresses of two ends.

    >>> is_same_host("10.0.0.7", "10.0.0.7"), is_same_host("127.0.0.1", "127.0.0.2")
    (True, True)
    >>> is_same_host("10.0.0.7", "10.0.0.8"), is_same_host("fe80::1%eth0", "fe80::2%eth0")
    (False, False)
    """
    return own == other or ipaddress.ip_address(other).is_loopback


def _is_bound_at(host: str, sock: socket.socket) -> bool:
    """Tell whether who listens at a host is asked by a connection to this one."""
    peer, bare = sock.getpeername()[0], host.strip("[]")
    if bare == "localhost":
        return ipaddress.ip_address(peer).is_loopback
    return not bare or bare == peer or ipaddress.ip_address(bare).is_unspecified


class _Plain:
    """A connection as it is."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, CHUNK)


class _Tls:
    """A connection within another, by TLS."""

    def __init__(self, plain: Link, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host or None)

    async def shake(self) -> None:
        await self._until_done(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        await self._until_done(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        try:
            return await self._until_done(lambda: self._tls.read(CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def _until_done(self, step: Callable[[], Result]) -> Result:
        while True:
            try:
                done = [step()]
            except ssl.SSLWantReadError:
                done = []
            if said := self._out.read():
                await self._plain.send(said)
            if done:
                return done[0]
            if heard := await self._plain.receive():
                self._in.write(heard)
            else:
                self._in.write_eof()


async def _shaken(plain: Link, to: Endpoint) -> Link:
    # To read what this host trusts takes a while, the first time.
    context = await asyncio.to_thread(_trusting_some) if to.verify else _trusting_all()
    link = _Tls(plain, context, to.host if to.verify else "")
    try:
        await link.shake()
    except ssl.SSLCertVerificationError as why:
        text = f"its certificate is not trusted: {why.verify_message}"
        raise ProbeError(text, CheckFault.TLS) from why
    return link


def _tls_refusal(why: ssl.SSLError, to: Endpoint) -> str:
    return f"TLS refused ({why.reason or 'no reason given'}) by {to}"


@cache
def _trusting_all() -> ssl.SSLContext:
    """Accept any certificate: the question is whether it answers, not who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@cache
def _trusting_some() -> ssl.SSLContext:
    return ssl.create_default_context()


def _is_same_file(own: str, path: str) -> bool:
    if not own.startswith("unix:"):
        return False
    try:
        return os.path.samestat(os.stat(own.removeprefix("unix:")), os.stat(path))  # noqa: PTH116 - on a hot path
    except OSError:
        return False


def _refusal(why: OSError) -> str:
    if isinstance(why, ConnectionRefusedError):
        return "connection refused"
    return (os.strerror(why.errno) if why.errno else str(why)).lower()


def _broken(why: OSError) -> str:
    if isinstance(why, ConnectionResetError):
        return "reset"
    reason = os.strerror(why.errno).lower() if why.errno else str(why)
    return f"broken ({reason})"
