"""Open the record's file: refuse damage, bring old tables up to date, keep others' hands off."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.adapters.sqlite import schema
from reconciler.failpoints import failpoint
from reconciler.ports import StoreError

LOCK_WAIT_S = 0.5
"""How long one transaction waits for another program that has the database locked."""

MIGRATION_TIMEOUT_S = 60.0
ASIDE_KEPT = 3
"""Databases that could not be used, kept beside the new one; older ones are deleted."""

CACHE_KIB = 2048
LOG_SIZE_BYTES = 16 * 1024 * 1024
"""What the write-ahead log shrinks back to after a burst."""

CHECKPOINT_PAGES = 4_000
"""A checkpoint waits for the disk, and the writes behind it do so too: fewer of them."""

_COMPANIONS = ("", "-wal", "-shm")
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class DamagedError(Exception):
    """The file is no database that this version can use; the text says why."""

    def __init__(self, because: str, *, label: str = "damaged") -> None:
        super().__init__(because)
        self.label = label
        """Becomes part of the name under which the file is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection to the record, and what had to be done to get it."""

    connection: sqlite3.Connection
    notes: tuple[str, ...] = ()


def open_database(path: Path, wall: float) -> Opened:
    """Open the record for writing, making a new one where there is none that can be used."""
    _make_private(path)
    notes: list[str] = []
    try:
        connection = _open_sound(path)
    except DamagedError as damage:
        aside = move_aside(path, damage.label, wall)
        notes.append(f"{path.name} could not be used ({damage}); it is now {aside.name}")
        connection = _open_sound(path)
    return Opened(connection=connection, notes=tuple(notes))


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the record where nothing can be written: a full disk, a read-only file system."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = None
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{options}", uri=True)
            if connection.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION:
                connection.execute("SELECT count(*) FROM meta").fetchone()
                return connection
        except sqlite3.Error:
            pass
        if connection is not None:
            connection.close()
    raise StoreError(f"cannot read {path}", mend="see `weaver doctor`")


def is_damage(error: sqlite3.Error) -> bool:
    """Tell an error of the file's content from one of the disk, a lock or rights."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF in _DAMAGE:
        return True
    text = str(error)
    return "decode to UTF-8" in text or (code == sqlite3.SQLITE_ERROR and "no such" in text)


def move_aside(path: Path, label: str, wall: float) -> Path:
    """Rename a database that cannot be used, its log with it, so that a person may look at it."""
    stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.{label}-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{label}-{stamp}-{number}")
    for companion in _COMPANIONS:
        source = path.with_name(path.name + companion)
        if source.exists():
            source.rename(aside.with_name(aside.name + companion))
    _drop_oldest_asides(path)
    return aside


def _drop_oldest_asides(path: Path) -> None:
    asides = [
        found
        for label in ("damaged", "newer")
        for found in path.parent.glob(f"{path.name}.{label}-*Z*")
        if not found.name.endswith(("-wal", "-shm"))
    ]
    asides.sort(key=lambda found: found.name.rsplit(".", 1)[1].split("-", 1)[1])
    for aside in asides[:-ASIDE_KEPT]:
        for companion in _COMPANIONS:
            aside.with_name(aside.name + companion).unlink(missing_ok=True)


def _make_private(path: Path) -> None:
    """Make the folder and an empty file that only we may read; SQLite's own files follow it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        for companion in _COMPANIONS[1:]:
            # The log of a database that is gone would be replayed into the new one.
            path.with_name(path.name + companion).unlink(missing_ok=True)


def _open_sound(path: Path) -> sqlite3.Connection:
    """Open a database after a look at all of it; raise DamagedError where it cannot be used."""
    is_empty = not path.exists() or path.stat().st_size == 0
    if is_empty:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        connection = _connect(path)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version < schema.VERSION:
                connection.close()
                _migrate(path)
                connection = _connect(path)
            _refuse_unsound(connection, version)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise DamagedError(str(error)) from error
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        # NORMAL syncs at checkpoints only: a power cut may lose the last moments, a killed
        # daemon loses nothing, and no disk makes a restart of a service wait.
        for pragma in (
            "synchronous = NORMAL",
            f"cache_size = -{CACHE_KIB}",
            f"journal_size_limit = {LOG_SIZE_BYTES}",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _migrate(path: Path) -> None:
    """Let a child process make the tables."""
    failpoint("store.schema.before")
    done = subprocess.run(
        [sys.executable, "-I", schema.__file__, str(path)],
        capture_output=True,
        text=True,
        timeout=MIGRATION_TIMEOUT_S,
        check=False,
    )
    failpoint("store.schema.after")
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        because = lines[-1]
        if "malformed" in because or "not a database" in because:
            raise DamagedError(because)
        raise StoreError(f"cannot make tables in {path}: {because}")


def _refuse_unsound(connection: sqlite3.Connection, version: int) -> None:
    if version > schema.VERSION:
        raise DamagedError(
            f"a newer Weaver wrote it: version {version}, this one knows {schema.VERSION}",
            label="newer",
        )
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(" ".join(str(verdict).split()))
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    missing = schema.TABLES - {name for (name,) in rows}
    if missing:
        raise DamagedError(f"tables are missing: {', '.join(sorted(missing))}")
