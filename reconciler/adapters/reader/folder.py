"""Look at the saved files: which manifests there are, and whether they changed since the last look.

A look costs one `stat` a file. What leads out of the repository is a fault of that path, and is
never opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from reconciler.manifest.codes import Code
from reconciler.manifest.limits import MAX_ENTRIES, MAX_FILES, MAX_FOREIGN_WARNINGS
from reconciler.manifest.naming import FOLDER, SUFFIXES, is_passing
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.errors import SourceHeldError


class Stamp(NamedTuple):
    """What changes when a file does."""

    device: int
    inode: int
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Take the stamp of a file."""
        return cls(
            found.st_dev,
            found.st_ino,
            found.st_mode,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
        )

    @property
    def is_file(self) -> bool:
        """Tell whether this is a regular file."""
        return stat.S_ISREG(self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The manifests' folder at one moment, by path relative to the repository."""

    manifests: dict[str, Stamp] = field(default_factory=dict)
    faults: dict[str, Diagnostic] = field(default_factory=dict)
    """Of paths that cannot be read as manifests."""
    warnings: tuple[Diagnostic, ...] = ()
    """About files that are no manifests."""


class _Found(NamedTuple):
    path: str
    name: str
    entry: os.DirEntry[str]


def list_folder(root: str) -> Listing:
    """List services.d, and what lies below it, in order of names.

    Raises SourceHeldError where there is no such folder: that never means "no services".
    """
    real_root = os.path.realpath(root)
    listing = Listing()
    foreign: list[str] = []
    for path, name, entry in _walk(root, real_root, listing.faults):
        if not name.endswith(SUFFIXES):
            foreign.append(path)
            continue
        fault = _fault_of_link(path, entry, real_root)
        if fault is None:
            try:
                listing.manifests[path] = Stamp.of(entry.stat())
            except FileNotFoundError:
                continue  # it vanished while we looked; the next look sees it, if it is back
            except OSError as why:
                fault = unreadable(path, why.strerror or str(why))
        if fault is not None:
            listing.faults[path] = fault
        if len(listing.manifests) > MAX_FILES:
            raise _too_many(f"more than {MAX_FILES:,} manifests")
    return Listing(
        manifests=listing.manifests, faults=listing.faults, warnings=tuple(_warnings(foreign))
    )


def _walk(root: str, real_root: str, faults: dict[str, Diagnostic]) -> Iterator[_Found]:
    """Give every file below services.d; a folder that a link leads to twice is walked once."""
    walked: set[tuple[int, int]] = set()
    folders = [FOLDER]
    left = MAX_ENTRIES
    while folders:
        folder = folders.pop()
        entries = _entries(root, folder, real_root, walked)
        left -= len(entries)
        if left < 0:
            raise _too_many(f"more than {MAX_ENTRIES:,} files")
        for entry in entries:
            path = f"{folder}/{entry.name}"
            if is_passing(entry.name):
                continue
            if not _is_utf8(path):
                shown = os.fsencode(path).decode("utf-8", "replace")
                faults[shown] = unreadable(shown, "its name is not UTF-8")
            elif entry.is_dir():
                folders.append(path)
            else:
                yield _Found(path, entry.name, entry)


def _entries(
    root: str, folder: str, real_root: str, walked: set[tuple[int, int]]
) -> list[os.DirEntry[str]]:
    """List one folder. One that cannot be read holds everything: it may define anything."""
    full = f"{root}/{folder}"
    try:
        found = Path(full).stat()
        if (found.st_dev, found.st_ino) in walked:
            return []
        walked.add((found.st_dev, found.st_ino))
        if not _is_inside(os.path.realpath(full), real_root):
            raise _cannot_read(folder, "it is a symlink that leaves the repository")
        with os.scandir(full) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as why:
        if folder != FOLDER and isinstance(why, FileNotFoundError):
            return []  # it vanished while we looked; the next look sees it, if it is back
        raise _cannot_read(folder, (why.strerror or str(why)).lower()) from why


def _cannot_read(folder: str, why: str) -> SourceHeldError:
    mend = f"bring the folder {folder} back, or make it readable"
    if folder == FOLDER:
        mend += "; `weaver init` makes a new one"
    return SourceHeldError(f"cannot read {folder}: {why}", mend=mend)


def _fault_of_link(path: str, entry: os.DirEntry[str], real_root: str) -> Diagnostic | None:
    if not entry.is_symlink():
        return None
    target = os.path.realpath(entry.path)
    if not Path(target).exists() or not _is_inside(target, real_root):
        return _outside(path)
    return None


def _is_inside(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root.rstrip('/')}/")


def _is_utf8(path: str) -> bool:
    return os.fsencode(path).decode("utf-8", "replace") == path


def _outside(path: str) -> Diagnostic:
    return Diagnostic(
        source=Source(file=path),
        code=Code.OUTSIDE,
        message="a symlink that leaves the repository, or leads nowhere",
        mend="put the manifest itself here",
    )


def unreadable(path: str, why: str) -> Diagnostic:
    """Say that a path cannot be read as a manifest."""
    return Diagnostic(
        source=Source(file=path),
        code=Code.UNREADABLE,
        message=f"cannot read this file: {why.lower()}",
        mend="make it a readable file, or remove it",
    )


def _too_many(what: str) -> SourceHeldError:
    return SourceHeldError(
        f"cannot read {FOLDER}: {Code.TOO_MANY_FILES} it holds {what}",
        mend="keep nothing but manifests there",
    )


def _warnings(foreign: list[str]) -> Iterator[Diagnostic]:
    for path in foreign[:MAX_FOREIGN_WARNINGS]:
        yield _foreign(path, "this file is no manifest; only .yaml, .yml and .json are read")
    more = len(foreign) - MAX_FOREIGN_WARNINGS
    if more > 0:
        yield _foreign(FOLDER, f"{more:,} more files are no manifests")


def _foreign(path: str, message: str) -> Diagnostic:
    return Diagnostic(
        source=Source(file=path),
        code=Code.FOREIGN_FILE,
        message=message,
        mend="keep it outside of services.d",
        is_warning=True,
    )
