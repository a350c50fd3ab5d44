"""What is watched for whom: the folders to look into, and whom a changed file concerns."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.codewatch.ignore import Ignore
from reconciler.model.spec import Watch
from reconciler.model.units import ServiceName

MOST_FOLDERS = 10_000
MOST_FILES = 50_000
"""Looked at one by one where file events cannot be had."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What one service is watched for."""

    service: ServiceName
    bases: tuple[str, ...]
    """Absolute paths of files and folders."""
    ignore: Ignore
    delay_s: float

    @classmethod
    def of(cls, service: ServiceName, watch: Watch, root: str) -> Plot:
        """Give the plot that a manifest describes."""
        bases = tuple(os.path.normpath(Path(root) / path) for path in watch.paths)
        return cls(
            service=service,
            bases=bases,
            ignore=Ignore(watch.ignore),
            delay_s=watch.delay / 1e9,
        )


class Ground:
    """All that is watched."""

    def __init__(self, root: str, plots: Sequence[Plot], spared: frozenset[str]) -> None:
        self._root = root
        self._plots = plots
        self._spared = spared
        """Files that are written all the time and nobody's code, and folders of such."""
        self.is_cut = False
        """Whether there are more folders than are watched."""

    def folders(self) -> list[str]:
        """Give every folder whose changes may count; blocks while it looks."""
        found: dict[str, None] = {}
        self.is_cut = False
        for plot in self._plots:
            for base in plot.bases:
                for folder in self._folders_of(plot, base):
                    if len(found) >= MOST_FOLDERS:
                        self.is_cut = True
                        return list(found)
                    found[folder] = None
        return list(found)

    def concerned(self, path: str) -> Iterator[tuple[Plot, str]]:
        """Give whom a changed file concerns, with its name as people would say it."""
        if self._is_spared(path):
            return
        is_folder = Path(path).is_dir()
        for plot in self._plots:
            if self._counts(plot, path, is_folder=is_folder):
                yield plot, self._said(path)

    def stamps(self) -> Mapping[str, Stamp]:
        """Look at every file that counts; blocks."""
        found: dict[str, Stamp] = {}
        for folder in self.folders():
            for entry in _entries(folder):
                if len(found) >= MOST_FILES:
                    self.is_cut = True
                    return found
                stamp = _stamp(entry)
                if stamp is not None and any(self.concerned(entry.path)):
                    found[entry.path] = stamp
        return found

    def _folders_of(self, plot: Plot, base: str) -> Iterator[str]:
        if not Path(base).is_dir():
            # A file, or nothing yet: what becomes of it shows in its folder.
            if Path(base).parent.is_dir():
                yield str(Path(base).parent)
            return
        for folder, inner, _ in os.walk(base):
            yield folder
            inner[:] = [
                name
                for name in inner
                if self._counts(plot, f"{folder}/{name}", is_folder=True)
                and not self._is_spared(f"{folder}/{name}")
            ]

    def _counts(self, plot: Plot, path: str, *, is_folder: bool) -> bool:
        """Tell whether a file or folder is one that a service is watched for."""
        for base in plot.bases:
            if path == base or path.startswith(f"{base.rstrip('/')}/"):
                # Patterns are relative to the repository; outside of it, to what is watched.
                top = self._root if f"{base}/".startswith(f"{self._root}/") else base
                inner, asked_for = path[len(top) + 1 :], base[len(top) + 1 :]
                below = asked_for.count("/") + 1 if asked_for else 0
                return not plot.ignore.covers(inner, is_folder=is_folder, below=below)
        return False

    def _said(self, path: str) -> str:
        return path.removeprefix(f"{self._root}/")

    def _is_spared(self, path: str) -> bool:
        """Tell whether a file is a log or one of Weaver's own, or a rotated one of these."""
        return any(
            path == one or path.startswith(f"{one}/") or path[len(one) + 1 :][:1].isdigit()
            for one in self._spared
            if path.startswith(one)
        )


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _stamp(entry: os.DirEntry[str]) -> Stamp | None:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
