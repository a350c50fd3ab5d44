"""Compress rotated files, one at a time, each in a process of its own with the lowest priority."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_IMODE

from reconciler.adapters.logs import gzip_child
from reconciler.adapters.logs.archives import Archive
from reconciler.adapters.logs.plain_files import FLAGS
from reconciler.adapters.logs.record import sync_folder
from reconciler.adapters.logs.room import has_room
from reconciler.failpoints import failpoint

AGAIN_S = 300.0
"""After a compression that failed, for want of room perhaps."""


@dataclass(slots=True)
class _Work:
    archive: Archive
    child: subprocess.Popen[bytes]


class Packer:
    """At most one compression under way, looked after now and then: nobody waits for it."""

    def __init__(self) -> None:
        self._work: _Work | None = None
        self._in_vain: dict[Archive, float] = {}
        """Which failed, and when to try them again."""

    @property
    def is_busy(self) -> bool:
        """Tell whether a file is being compressed."""
        return self._work is not None

    @property
    def part(self) -> Path | None:
        """Give the file that is being written."""
        return self._work.archive.packed_part if self._work is not None else None

    def look(self, waiting: list[Archive]) -> Archive | None:
        """Finish what is done, and give it; begin with the next one of those that wait."""
        finished = None
        if self._work is not None:
            if (status := self._work.child.poll()) is None:
                return None
            work, self._work = self._work, None
            finished = work.archive if self._finish(work.archive, status) else None
            waiting = [one for one in waiting if one != finished]
        now = time.monotonic()
        self._in_vain = {one: at for one in waiting if (at := self._in_vain.get(one, 0)) > now}
        for archive in waiting:
            if archive not in self._in_vain and _can_be_packed(archive):
                self._begin(archive)
                break
        return finished

    def close(self) -> None:
        """Give up what is under way; it will be begun anew."""
        if self._work is not None:
            self._work.child.kill()
            self._work.child.wait()
            with suppress(OSError):
                self._work.archive.packed_part.unlink()
            self._work = None

    def _begin(self, archive: Archive) -> None:
        try:
            source = os.open(archive.path, FLAGS)
        except OSError:
            return
        try:
            target = _created(archive, os.fstat(source))
            try:
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", gzip_child.__file__],
                    stdin=source,
                    stdout=target,
                    stderr=subprocess.DEVNULL,
                )
            finally:
                os.close(target)
        except OSError:
            self._in_vain[archive] = time.monotonic() + AGAIN_S
            return
        finally:
            os.close(source)
        self._work = _Work(archive, child)

    def _finish(self, archive: Archive, status: int) -> bool:
        """Put what was compressed in the place of what was not; tell whether that worked."""
        try:
            if status == 0 and archive.path.exists():
                archive.packed_part.replace(archive.packed)
                failpoint("rotate.packed")
                sync_folder(archive.log.parent)
                archive.path.unlink()
                failpoint("rotate.packed-alone")
                return True
        except OSError:
            pass  # it stays as it is, which is as good but for its size
        self._in_vain[archive] = time.monotonic() + AGAIN_S
        with suppress(OSError):
            archive.packed_part.unlink()
        return False


def _can_be_packed(archive: Archive) -> bool:
    """Tell whether it is there, with room beside it: a disk that gets full costs old lines."""
    return archive.path.exists() and has_room(archive.log.parent, archive.end - archive.start)


def _created(archive: Archive, like: os.stat_result) -> int:
    with suppress(FileNotFoundError):
        archive.packed_part.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(archive.packed_part, flags, 0o600)
    with suppress(PermissionError):
        os.fchown(fd, like.st_uid, like.st_gid)
    os.fchmod(fd, S_IMODE(like.st_mode) & 0o666)
    return fd
