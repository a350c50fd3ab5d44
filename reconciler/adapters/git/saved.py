"""Read the manifests as saved in the work tree, and replace some of them, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.failpoints import failpoint
from reconciler.manifest.limits import MAX_FILE_BYTES
from reconciler.manifest.naming import FOLDER, is_manifest
from reconciler.ports import ConflictError

TEMPORARY = ".weaver-tmp-"
"""How our temporary files beside manifests begin: dotfiles, which nobody reads as manifests."""

_NO_PLAIN_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})
"""What opening says of a file that has gone, a link, and a socket or pipe."""

Stamp = tuple[int, int, int, int]


class SavedFileMovedError(Exception):
    """Somebody saved the file while we were working on what it said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """One manifest as saved."""

    path: str
    data: bytes
    mode: int
    stamp: Stamp
    """What changes when somebody saves it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One file to replace: its new text waits beside it, None where the file goes."""

    target: Path
    beside: Path | None
    before: SavedFile | None
    after: bytes | None


def read_saved(root: Path) -> dict[str, SavedFile]:
    """Read every manifest that is a plain file below the root, each once."""
    found = {}
    for folder, folders, names in os.walk(root / FOLDER):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name).relative_to(root).as_posix()
            if is_manifest(path) and (saved := _read(root, path)) is not None:
                found[path] = saved
    return found


def _read(root: Path, path: str) -> SavedFile | None:
    try:
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as fault:
        if fault.errno in _NO_PLAIN_FILE:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return None
        return SavedFile(
            path=path, data=file.read(), mode=stat.S_IMODE(status.st_mode), stamp=_stamp(status)
        )


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def write_beside(
    root: Path, changes: Mapping[str, bytes | None], saved: Mapping[str, SavedFile]
) -> list[Replacement]:
    """Write every new text beside the file that it will replace, and sync it."""
    replacements: list[Replacement] = []
    try:
        for number, (path, data) in enumerate(changes.items()):
            target, before = root / path, saved.get(path)
            _refuse_strange_place(root, path, before)
            beside = _write_one(target, data, before, number) if data is not None else None
            replacements.append(
                Replacement(target=target, beside=beside, before=before, after=data)
            )
    except BaseException:
        discard(replacements)
        raise
    return replacements


def _refuse_strange_place(root: Path, path: str, before: SavedFile | None) -> None:
    """Refuse to write through a link, or over what is no manifest of ours."""
    target = root / path
    if not target.parent.resolve().is_relative_to(root):
        raise ConflictError(
            f"cannot write {path}: a link stands in its way",
            mend=f"make {FOLDER} and all below it plain folders",
        )
    if before is None and os.path.lexists(target):
        raise ConflictError(
            f"cannot write {path}: something that is no manifest stands there",
            mend=f"see `ls -l {path}`, and move it away",
        )


def _write_one(target: Path, data: bytes, before: SavedFile | None, number: int = 0) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{TEMPORARY}{os.getpid()}-{number}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None:
                os.fchmod(descriptor, before.mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        failpoint("git.beside.written")
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return beside


def refuse_moved(replacements: list[Replacement]) -> None:
    """Raise SavedFileMovedError where a file is no longer what its new text was made from."""
    for replacement in replacements:
        try:
            found = _stamp(replacement.target.lstat())
        except FileNotFoundError:
            found = None
        if found != (replacement.before.stamp if replacement.before else None):
            raise SavedFileMovedError(str(replacement.target))


def publish(replacements: list[Replacement]) -> None:
    """Put the new texts in place, each by one rename."""
    for replacement in replacements:
        if replacement.beside is None:
            replacement.target.unlink(missing_ok=True)
        else:
            failpoint("git.save.before")
            replacement.beside.replace(replacement.target)
            failpoint("git.save.renamed")
    for folder in {replacement.target.parent for replacement in replacements}:
        _sync(folder)


def take_back(root: Path, replacements: list[Replacement]) -> None:
    """Undo `publish` after a later step failed: every file says again what it said before.

    A file that somebody has saved since is theirs, and left alone.
    """
    for replacement in replacements:
        found = _read(root, replacement.target.relative_to(root).as_posix())
        if (found.data if found else None) != replacement.after:
            continue
        before = replacement.before
        if before is None:
            replacement.target.unlink(missing_ok=True)
        else:
            _write_one(replacement.target, before.data, before).replace(replacement.target)


def discard(replacements: list[Replacement]) -> None:
    """Remove the new texts that were not put in place."""
    for replacement in replacements:
        if replacement.beside is not None:
            with suppress(OSError):
                replacement.beside.unlink(missing_ok=True)


def sweep(root: Path) -> None:
    """Remove the temporary files of writers that were killed. Call it as the one writer."""
    for path in _left_over(root):
        path.unlink(missing_ok=True)


def _left_over(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root / FOLDER):
        yield from (Path(folder, name) for name in names if name.startswith(TEMPORARY))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
