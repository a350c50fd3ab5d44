"""Hear of names that come, go, or are closed after writing, in a few folders.

Writing itself is no event: the kernel says nothing while a service floods a log that happens to
be in such a folder. That is why this does not use the library that watches the manifests.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

CLOSE_WRITE, MOVED, CREATE, DELETE = 0x8, 0xC0, 0x100, 0x200
GONE = 0xC00
"""The folder itself was deleted or moved."""
OVERFLOW = 0x4000
MASK = CLOSE_WRITE | MOVED | CREATE | DELETE | GONE

_HEAD = struct.Struct("iIII")
_READ = 256 * 1024
_READS = 16
"""Of one turn: who makes files faster than that is heard of again in the next one."""


class Folders:
    """An inotify instance. Raises OSError where the user's instances or watches are used up."""

    def __init__(self, folders: Iterable[Path]) -> None:
        libc = _libc()
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _error("make an inotify instance")
        self._folders: dict[int, Path] = {}
        for folder in folders:
            watch = libc.inotify_add_watch(self._fd, os.fsencode(folder), MASK)
            if watch >= 0:
                self._folders[watch] = folder
            elif ctypes.get_errno() not in (2, 20):  # it is gone, or no folder any more
                why = _error(f"watch {folder}")
                self.close()
                raise why

    def close(self) -> None:
        """Stop listening."""
        os.close(self._fd)

    async def readable(self) -> None:
        """Return when something happened."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._fd)

    def happened(self) -> set[Path] | None:
        """Give the paths that something happened to; None where nobody knows to which."""
        found: set[Path] = set()
        for _ in range(_READS):
            try:
                data = os.read(self._fd, _READ)
            except BlockingIOError:
                break
            for watch, mask, name in _events(data):
                if mask & OVERFLOW:
                    return None
                folder = self._folders.get(watch)
                if folder is not None:
                    found.add(folder / name if name else folder)
        return found


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield watch, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"cannot {what}: {os.strerror(number).lower()}")


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
