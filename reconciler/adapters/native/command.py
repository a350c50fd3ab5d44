"""Guess which command of a PATH was meant by one that is not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

CLOSE = 0.65
"""How alike two names must be, by difflib's measure: `gti` is `git`."""
MOST_NAMES = 20_000
MOST_DIFFERENCE = 2
"""Letters by which the lengths of two names may differ: spares most comparisons."""


def not_found(name: str, search: str) -> str:
    """Say that a command is not on a PATH, and which one there comes near; empty if none does."""
    meant = closest_command(name, search)
    return f"cannot run {name}: not found on its PATH (did you mean {meant}?)" if meant else ""


def closest_command(name: str, search: str) -> str:
    """Give the command of a PATH that is most like `name`; empty where none comes near."""
    from difflib import get_close_matches  # the daemon seldom needs it

    # Where a relative folder leads depends on the service, so those are left out.
    folders = [Path(folder) for folder in search.split(":") if folder.startswith("/")]
    names = {other for other in _names(folders) if abs(len(other) - len(name)) <= MOST_DIFFERENCE}
    near = get_close_matches(name, sorted(names), n=5, cutoff=CLOSE)
    return next((other for other in near if _is_command(other, folders)), "")


def _names(folders: Iterable[Path]) -> Iterator[str]:
    every = (name for folder in dict.fromkeys(folders) for name in _names_in(folder))
    return islice(every, MOST_NAMES)


def _names_in(folder: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from (entry.name for entry in entries)


def _is_command(name: str, folders: Iterable[Path]) -> bool:
    paths = [folder / name for folder in folders]
    return any(path.is_file() and os.access(path, os.X_OK) for path in paths)
