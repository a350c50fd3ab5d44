"""Who listens where: addresses from the kernel's tables, matched to processes by socket inode."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

NET = Path("/proc/net")
LISTENING = "0A"
ACCEPTS = 0x10000
"""The flag of a unix socket that accepts connections."""

ADDRESSES_MAX = 32
"""Addresses shown of one tree."""


def listening_sockets() -> dict[int, str]:
    """Give each socket that accepts connections: its inode and its address."""
    found: dict[int, str] = {}
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        found.update(_tcp(_rows(NET / name), family))
    found.update(_unix(_rows(NET / "unix")))
    return found


def addresses(pids: Iterable[int], sockets: dict[int, str]) -> tuple[str, ...]:
    """Give the addresses that some processes listen on, TCP first, each once."""
    found = {sockets[inode] for pid in pids for inode in _socket_inodes(pid) if inode in sockets}
    return tuple(sorted(found, key=_order)[:ADDRESSES_MAX])


def ipv4(text: str) -> str:
    """Give an address as the kernel's table writes it, for people.

    >>> ipv4("0100007F:1F90")
    '127.0.0.1:8080'
    """
    host, port = text.split(":")
    return f"{socket.inet_ntop(socket.AF_INET, _words(host))}:{int(port, 16)}"


def ipv6(text: str) -> str:
    """Give an address as the kernel's table writes it, for people.

    >>> ipv6("00000000000000000000000001000000:0050")
    '[::1]:80'
    """
    host, port = text.split(":")
    return f"[{socket.inet_ntop(socket.AF_INET6, _words(host))}]:{int(port, 16)}"


def _words(text: str) -> bytes:
    """Give the bytes of an address: 32-bit words, each in the host's own byte order."""
    words = [int(text[place : place + 8], 16) for place in range(0, len(text), 8)]
    return struct.pack(f"={len(words)}I", *words)


def _rows(path: Path) -> Iterator[list[str]]:
    """Give a table's rows as they are read, so that nobody reads more of it than is needed."""
    try:
        with path.open(encoding="utf-8", errors="backslashreplace") as table:
            next(table, None)
            for line in table:
                yield line.split()
    except OSError:
        return


def _tcp(rows: Iterator[list[str]], family: socket.AddressFamily) -> Iterator[tuple[int, str]]:
    name = ipv4 if family == socket.AF_INET else ipv6
    for row in rows:
        if row[3] != LISTENING:
            return  # the kernel lists those that listen first, and there may be many others
        yield int(row[9]), name(row[1])


def _unix(rows: Iterator[list[str]]) -> Iterator[tuple[int, str]]:
    for row in rows:
        if len(row) > 7 and int(row[3], 16) & ACCEPTS:
            path = " ".join(row[7:])
            yield int(row[6]), "unix:" + path.encode("unicode_escape").decode("ascii")


def _socket_inodes(pid: int) -> Iterator[int]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 (hot)
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115 (hot)
        except OSError:
            continue
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _order(address: str) -> tuple[bool, str]:
    return address.startswith("unix:"), address
