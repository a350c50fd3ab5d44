"""Rotate logs when it is time, and keep them and their disk within bounds.

A log is looked at every few seconds: one `stat`, more often the sooner it will be full. Nothing
watches it, so a flood costs the daemon no more than silence does.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.adapters.logs import archives, rescue, rotate
from reconciler.adapters.logs.astray import astray, copied
from reconciler.adapters.logs.packing import Packer
from reconciler.adapters.logs.room import Disks, free_bytes, remove_oldest
from reconciler.adapters.logs.stream import Extent, Stream, Streams
from reconciler.model.log import LogNews, LogRotation, LogSource
from reconciler.model.units import in_seconds

SLOW_S = 10.0
FAST_S = 0.25
SOON_S = 1.0
RETRY_S = 30.0
"""After a rotation that failed."""
LEAST_PIECE = 64 * 1024
"""On a nearly full disk a log is rotated in pieces, of at least this many bytes."""
CLOCK_SLACK_S = 60.0


@dataclass(slots=True)
class _Watched:
    """One file that is looked at."""

    stream: Stream
    source: LogSource
    policy: LogRotation
    next_at: float = 0.0
    looked_at: float = 0.0
    extent: Extent | None = None
    is_known: bool = False
    astray: str = ""
    rescue: rescue.Rescue | None = None
    failure: str = ""
    lost: int = 0
    retry_at: float = 0.0


@dataclass(slots=True)
class Keeper:
    """Looks after the logs that are being written. One thread at a time calls it."""

    streams: Streams
    wall: Callable[[], float]
    own_folder: Path
    """Folders of logs beneath it are made again when they are deleted."""
    packer: Packer = field(default_factory=Packer)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _news: list[LogNews] = field(default_factory=list)
    _disks: Disks = field(init=False)

    def __post_init__(self) -> None:
        """Let news of disks be news of logs."""
        self._disks = Disks(
            self.streams,
            lambda reason, freed: self._tell("log.disk-full", None, reason, freed=freed),
        )

    def attend(self, sources: Sequence[LogSource]) -> None:
        """Look after these logs from now on, and no others; each file once."""
        known, self._watched = self._watched, {}
        for source in sources:
            if source.rotation is None or source.path in self._watched:
                continue
            watched = known.get(source.path)
            if watched is None:
                watched = _Watched(self.streams.of(source.path), source, source.rotation)
            elif watched.policy != source.rotation or watched.source.pid != source.pid:
                watched.next_at = watched.retry_at = 0.0
            watched.source, watched.policy = source, source.rotation
            self._watched[source.path] = watched
        for path in known.keys() - self._watched.keys():
            _finish_rescue(known[path])

    def look(self, *, at_all: bool = False) -> float:
        """Look at what is due, and rotate what is full; give in how many seconds to look again."""
        now = time.monotonic()
        seen: dict[tuple[int, int], str] = {}
        for path, watched in self._watched.items():
            if at_all or watched.next_at <= now:
                with suppress(OSError):  # it was there a moment ago
                    self._look_at(watched, now, seen)
            elif watched.extent is not None:
                seen.setdefault(watched.extent.file, path)
        self._disks.look()
        finished = self.packer.look(self._to_pack())
        if finished is not None:
            self.streams.of(str(finished.log)).note_packed(finished)
        soonest = min((one.next_at for one in self._watched.values()), default=now + SLOW_S)
        if self.packer.is_busy:
            soonest = min(soonest, now + FAST_S)
        return max(FAST_S, soonest - time.monotonic())

    def news(self) -> tuple[LogNews, ...]:
        """Give what happened since the last call."""
        told, self._news = tuple(self._news), []
        return told

    def troubles(self) -> tuple[str, ...]:
        """Say what is wrong with logs just now."""
        said = [text for one in self._watched.values() for text in _said_of(one)]
        said += self._disks.troubles()
        return tuple(said)

    def close(self) -> None:
        """Give up what is under way."""
        self.packer.close()
        for watched in self._watched.values():
            _finish_rescue(watched)

    # --- one log -----------------------------------------------------------------------------

    def _look_at(self, watched: _Watched, now: float, seen: dict[tuple[int, int], str]) -> None:
        before, was_at = watched.extent, watched.looked_at
        found = watched.stream.extent()
        watched.extent, watched.looked_at = found, now
        # How fast it grows is known after the second look.
        watched.next_at = now + (SLOW_S if before is not None else SOON_S)
        if found is None:
            self._make_folder(watched)
        self._look_for_strays(watched, found, before)
        if found is None:
            watched.next_at = now + (SOON_S if watched.rescue is not None else SLOW_S)
            return
        first = seen.setdefault(found.file, watched.source.path)
        if first != watched.source.path:
            return  # the same file under two names: one rotation
        self._disks.meet(found.file[0], watched.stream.path.parent)
        if now >= watched.retry_at:
            self._keep_in_bounds(watched)
        if before is not None and before.file == found.file:
            watched.next_at = now + _pause(watched.policy, found, before, now - was_at)
        if watched.rescue is not None:
            watched.next_at = min(watched.next_at, now + SOON_S)

    def _keep_in_bounds(self, watched: _Watched) -> None:
        stream, policy = watched.stream, watched.policy
        while len(stream.archives) > policy.max_files:
            remove_oldest(stream)
        is_due, size = self._is_due(watched)
        if not is_due and stream.is_settled:
            return
        try:
            with rotate.live_file(stream) as fd:
                self._tidy(watched)
                if is_due:
                    self._rotate(watched, fd, size)
        except rotate.ChangedError:
            watched.next_at = 0.0
        except OSError as why:
            self._failed(watched, why)
        else:
            watched.failure = ""
        while len(stream.archives) > policy.max_files:
            remove_oldest(stream)

    def _is_due(self, watched: _Watched) -> tuple[bool, int]:
        """Tell whether to rotate, and in pieces of what size."""
        record, policy = watched.stream.record, watched.policy
        if record is None:
            return False, 0
        size, now = record.seen - record.head, self.wall()
        if policy.max_size is not None and size >= policy.max_size:
            return True, policy.max_size
        if policy.interval is None:
            return False, 0
        if not record.rotated_at or record.rotated_at > now + CLOCK_SLACK_S:
            with suppress(OSError):
                rotate.begin_interval(watched.stream, now)
            return False, 0
        return now - record.rotated_at >= in_seconds(policy.interval), size

    def _rotate(self, watched: _Watched, fd: int, piece: int) -> None:
        stream, policy = watched.stream, watched.policy
        size = _size(stream)
        limit = policy.max_size
        if policy.max_files == 0:
            rotate.drop(stream, fd, size - limit // 2 if limit and size >= limit else size)
            return
        if limit and size > (policy.max_files + 1) * limit:
            # What would be removed again at once is not copied; so what there is goes first.
            while stream.archives:
                remove_oldest(stream)
            rotate.drop(stream, fd, size - (policy.max_files + 1) * limit)
        for _ in range(policy.max_files + 1):
            if _size(stream) < piece:
                return
            try:
                done = rotate.cut(stream, fd, self._affordable(stream, piece), self.wall())
            except OSError as why:
                if why.errno not in rotate.FULL or not self._shed(watched, fd):
                    raise
                continue
            self._tell_of_loss(watched, done.lost_at_most)
            if not done.archived:
                return

    def _shed(self, watched: _Watched, fd: int) -> bool:
        """Drop the oldest lines of a log that has filled its disk; tell whether that was done.

        Without room nothing can be copied, and with no rotated file left nothing else would go.
        """
        stream, limit, record = watched.stream, watched.policy.max_size, watched.stream.record
        if not limit or record is None or _size(stream) < 2 * limit:
            return False
        self._disks.make_room(record.device, need=LEAST_PIECE * 2)
        if stream.archives or free_bytes(stream.path.parent)[0] >= LEAST_PIECE:
            return False
        dropped = rotate.drop(stream, fd, _size(stream) - limit)
        if dropped:
            how = f"the oldest lines of {watched.source.instance} were removed"
            self._disks.note(record.device, dropped, how)
        return dropped > 0

    def _affordable(self, stream: Stream, piece: int) -> int:
        """Give how much can be copied on the disk as it is: it is freed only afterwards."""
        folder = stream.path.parent
        free, _ = free_bytes(folder)
        if free < LEAST_PIECE * 2 and stream.record is not None:
            self._disks.make_room(stream.record.device, need=LEAST_PIECE * 2)
            free, _ = free_bytes(folder)
        return min(piece, max(LEAST_PIECE, free // 2))

    def _tidy(self, watched: _Watched) -> None:
        """Remove what a killed daemon left half-written; once for each log."""
        if not watched.is_known:
            watched.is_known = True
            busy = self.packer.part
            for path in archives.leftovers(watched.stream.path):
                if path != busy:
                    with suppress(OSError):
                        path.unlink()

    # --- what is wrong -----------------------------------------------------------------------

    def _look_for_strays(
        self, watched: _Watched, found: Extent | None, before: Extent | None
    ) -> None:
        file = found.file if found is not None else None
        if before is not None and file == before.file and not watched.astray:
            return
        stray = astray(watched.source, file, before.file if before is not None else None)
        said = stray.text if stray is not None else ""
        if stray is not None and stray.is_deleted and self._is_rescued(watched):
            said = copied(watched.source)
        else:
            _finish_rescue(watched)
        if said and said != watched.astray:
            self._tell("log.astray", watched.source, said)
        watched.astray = said

    def _is_rescued(self, watched: _Watched) -> bool:
        """Copy what came to a log that was deleted; tell whether that worked.

        In a folder of somebody else's no file is made: its name may lead anywhere by then.
        """
        if self.own_folder not in watched.stream.path.parents:
            return False
        try:
            if watched.rescue is None:
                watched.rescue = rescue.begin(watched.stream, watched.source)
            watched.rescue.copy()
        except (OSError, rotate.ChangedError):
            return False
        return True

    def _make_folder(self, watched: _Watched) -> None:
        folder = watched.stream.path.parent
        if (
            watched.source.pid is not None
            and self.own_folder in folder.parents
            and not folder.exists()
        ):
            with suppress(OSError):
                folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def _failed(self, watched: _Watched, why: OSError) -> None:
        record = watched.stream.record
        watched.retry_at = time.monotonic() + RETRY_S
        if why.errno in rotate.FULL and record is not None:
            self._disks.make_room(record.device, need=LEAST_PIECE * 2)
        text = (os.strerror(why.errno) if why.errno else str(why)).lower()
        said = f"cannot rotate the log {watched.source.path}: {text}{_mend(why)}"
        if said != watched.failure:
            self._tell("log.failed", watched.source, said)
        watched.failure = said

    def _tell_of_loss(self, watched: _Watched, lost: int) -> None:
        if lost:
            watched.lost += lost
            reason = f"at most {lost:,} bytes of its log were lost: {_NO_HOLES}"
            self._tell("log.lost", watched.source, reason, lostAtMost=lost)

    def _tell(self, kind: str, source: LogSource | None, reason: str, **data: int) -> None:
        self._news.append(LogNews(kind=kind, source=source, reason=reason, data=data))

    def _to_pack(self) -> list[archives.Archive]:
        """Give the rotated files that are to be compressed and are not."""
        return [
            archive
            for watched in self._watched.values()
            if watched.policy.compress
            for archive in watched.stream.unpacked()
        ]


_NO_HOLES = "its file system can only empty a file, not take away its front"


def _finish_rescue(watched: _Watched) -> None:
    """Copy the rest of a log that was deleted, and let go of it."""
    found, watched.rescue = watched.rescue, None
    if found is not None:
        with suppress(OSError, rotate.ChangedError):
            found.copy()
        found.close()


def _size(stream: Stream) -> int:
    record = stream.record
    return record.seen - record.head if record is not None else 0


def _said_of(watched: _Watched) -> list[str]:
    said = [watched.astray, watched.failure]
    if watched.lost:
        name = watched.source.instance
        said.append(f"rotation lost at most {watched.lost:,} bytes of {name}'s log: {_NO_HOLES}")
    return [text for text in said if text]


def _pause(policy: LogRotation, now: Extent, before: Extent, passed_s: float) -> float:
    """Give when to look again: before a log that goes on growing like this is full."""
    grown = now.end - before.end
    if policy.max_size is None or grown <= 0 or passed_s <= 0:
        return SLOW_S
    left_s = (policy.max_size - (now.end - now.start)) * passed_s / grown
    return min(SLOW_S, max(FAST_S, left_s / 2))


def _mend(why: OSError) -> str:
    if why.errno in (errno.EACCES, errno.EPERM):
        return "; its file and folder must be writable for the daemon"
    return ""
