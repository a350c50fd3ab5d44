"""The daemon's own log: plain lines in a private file that rotates by size.

Nothing here may stop the daemon: a full disk costs lines, which are counted and said as soon as
there is room, and a file that was deleted under us is made again.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

SIZE_MAX = 4 * 1024 * 1024
OLD_KEPT = 3
"""Rotated files: `daemon.log.1` is the newest of them."""

LINE_MAX = 16 * 1024
"""Bytes of one entry, its traceback included."""


def open_log(path: Path, level: int = logging.INFO) -> LogFile:
    """Send everything that is logged in this process to a file."""
    handler = LogFile(path)
    handler.setFormatter(LineFormat())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    return handler


class LineFormat(logging.Formatter):
    """One line an entry: time, level, who, what; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the text of an entry."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        name = record.name.removeprefix("reconciler.")
        said = _on_one_line(record.getMessage())
        line = f"{moment}.{record.msecs:03.0f}Z {record.levelname} {name}: {said}"
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            line += "".join(f"\n    {_on_one_line(part)}" for part in trace.splitlines())
        return line


class LogFile(logging.Handler):
    """A file that is appended to, rotated when it is large, and made again when it is gone."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._fd = -1
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write an entry. Never raises: a log that cannot be written must not end anything."""
        try:
            data = self.format(record).encode("utf-8", "backslashreplace")[:LINE_MAX] + b"\n"
        except Exception:  # noqa: BLE001 (a bad format string, anywhere in the program)
            self.handleError(record)
            return
        try:
            self._write(data)
        except OSError:
            self._lost += 1

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()

    def _write(self, data: bytes) -> None:
        if not self._is_in_place():
            self._reopen()
        elif os.fstat(self._fd).st_size + len(data) > SIZE_MAX:
            self._rotate()
        if self._lost:
            data = f"{self._lost} entries were lost: the disk was full\n".encode() + data
        # One write, so that an entry is there whole or not at all, whoever else appends.
        if os.write(self._fd, data) < len(data):
            raise OSError(0, "written in part")
        self._lost = 0

    def _is_in_place(self) -> bool:
        """Tell whether our file still bears our name."""
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def _reopen(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)

    def _rotate(self) -> None:
        for number in range(OLD_KEPT, 0, -1):
            newer = self._part(number - 1)
            if newer.exists():
                newer.replace(self._part(number))
        self._reopen()

    def _part(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path


def _on_one_line(text: str) -> str:
    r"""Spell line breaks and other control characters out: an entry cannot imitate another.

    >>> _on_one_line("a\nb\x1b[0m")
    'a\\nb\\x1b[0m'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )
