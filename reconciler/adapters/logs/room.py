"""Make room on a disk that is full: rotated files go, those of the oldest lines first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.adapters.logs.stream import Stream, Streams
from reconciler.failpoints import failpoint

RESERVE = 64 * 1024 * 1024
SHARE = 100
"""A disk counts as full with less than one part of so many free, or than the reserve if less."""


def free_bytes(folder: Path) -> tuple[int, int]:
    """Give how much room there is for others than root, and how much there should be."""
    found = os.statvfs(folder)
    if not found.f_blocks:
        return 1 << 60, 0  # a file system that does not tell
    whole = found.f_blocks * found.f_frsize
    return found.f_bavail * found.f_frsize, min(RESERVE, whole // SHARE)


@dataclass(slots=True)
class _Disk:
    """One disk that holds logs."""

    folder: Path
    is_full: bool = False
    freed: int = 0


@dataclass(slots=True)
class Disks:
    """The disks that hold logs, each kept from being full."""

    streams: Streams
    tell: Callable[[str, int], None]
    """Told what was done to a disk that is full, and how many bytes that freed."""
    _known: dict[int, _Disk] = field(default_factory=dict)

    def meet(self, device: int, folder: Path) -> None:
        """Look after the disk of a folder from now on."""
        self._known.setdefault(device, _Disk(folder))

    def look(self) -> None:
        """Make room where there is little, and forget disks that are gone."""
        for device, disk in list(self._known.items()):
            try:
                free, least = free_bytes(disk.folder)
            except OSError:
                del self._known[device]
                continue
            if free < least:
                self.make_room(device)
            elif free > 2 * least:
                disk.is_full, disk.freed = False, 0

    def make_room(self, device: int, need: int = 0) -> None:
        """Remove rotated files of a disk that is full, and tell of it."""
        disk = self._known[device]
        freed = make_room(device, disk.folder, self.streams, need)
        if freed:
            self.note(device, freed, "the oldest rotated files were removed")
        elif not disk.is_full:
            self.tell(f"the disk of {disk.folder} is full", 0)
        disk.is_full = True

    def note(self, device: int, freed: int, how: str) -> None:
        """Take note of how room was made on a disk that is full."""
        disk = self._known[device]
        disk.freed += freed
        self.tell(f"the disk of {disk.folder} is full: {how}, {freed:,} bytes", freed)

    def troubles(self) -> list[str]:
        """Say which are full, and what went for it."""
        return [
            f"the disk of {disk.folder} is full"
            + f"; {disk.freed:,} bytes of old lines were removed" * bool(disk.freed)
            for disk in self._known.values()
            if disk.is_full
        ]


def has_room(folder: Path, size: int) -> bool:
    """Tell whether a disk is not full, and would not be with a file of this size on it."""
    try:
        free, least = free_bytes(folder)
    except OSError:
        return False
    return free - size > least


def make_room(device: int, folder: Path, streams: Iterable[Stream], need: int = 0) -> int:
    """Remove rotated files of a full disk until it is not; give how many bytes that freed."""
    freed = 0
    while True:
        try:
            free, least = free_bytes(folder)
        except OSError:
            return freed
        if free >= max(least, need):
            return freed
        oldest = _oldest(device, streams)
        if oldest is None:
            return freed
        freed += remove_oldest(oldest)


def remove_oldest(stream: Stream) -> int:
    """Remove a log's oldest rotated file; give how many bytes that freed."""
    with stream.lock:
        if not stream.archives:
            return 0
        archive = stream.archives.pop(0)
    with suppress(OSError):
        freed = archive.remove()
        failpoint("rotate.pruned")
        return freed
    return 0


def _oldest(device: int, streams: Iterable[Stream]) -> Stream | None:
    """Give the log whose rotated file was written to the longest ago."""
    found: list[tuple[float, str, Stream]] = []
    for stream in streams:
        if stream.record is None or stream.record.device != device or not stream.archives:
            continue
        with suppress(OSError):
            path = stream.archives[0].path
            there = path if path.exists() else stream.archives[0].packed
            found.append((there.stat().st_mtime, str(path), stream))
    return min(found)[2] if found else None
