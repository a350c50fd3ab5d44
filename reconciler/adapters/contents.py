"""Hash the files that services load, so that another content can be told from another date.

A file that is being written counts as it was before: it is taken for new once it is at rest.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MAX_BYTES = 64 << 20
"""Of one file; a larger one is no configuration."""
AT_REST_S = 0.05
"""A file that changed is looked at again after this."""

Stamp = tuple[int, int, int, int, int]


class Hasher:
    """Reads what changed since it was asked last; for files that rest a look costs a stat each."""

    def __init__(self, root: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._root = root
        self._pause = pause
        self._known: dict[str, tuple[Stamp, str]] = {}

    def __call__(self, paths: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Give the hashes of these files, and why some cannot be had. Blocks: for a thread."""
        wanted = sorted(set(paths))
        hashes: dict[str, str] = {}
        problems: dict[str, str] = {}
        fresh: dict[str, tuple[Stamp, str]] = {}
        for path in wanted:
            try:
                stamp = _stamp(self._root / path)
                known = self._known.get(path)
                if known is not None and known[0] == stamp:
                    hashes[path] = known[1]
                else:
                    fresh[path] = (stamp, _hash(self._root / path))
            except OSError as why:
                problems[path] = (why.strerror or str(why)).lower()
        if fresh:
            self._pause(AT_REST_S)
        for path, (stamp, text) in fresh.items():
            if _is_as_stamped(self._root / path, stamp):
                self._known[path] = (stamp, text)
            if path in self._known:
                hashes[path] = self._known[path][1]
        self._known = {path: known for path, known in self._known.items() if path in wanted}
        return hashes, problems


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is not a regular file"
        raise OSError(0, kind)
    if found.st_size > MAX_BYTES:
        raise OSError(0, f"it is larger than {MAX_BYTES >> 20} MiB")
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_as_stamped(path: Path, stamp: Stamp) -> bool:
    try:
        return _stamp(path) == stamp
    except OSError:
        return False


def _hash(path: Path) -> str:
    # Not even a fifo that took the file's place since keeps anybody waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return hash_of(file.read(MAX_BYTES + 1))


def hash_of(content: bytes) -> str:
    """Give the hash by which a content is known."""
    return hashlib.sha256(content).hexdigest()[:32]
