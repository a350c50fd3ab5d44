"""Who on this host follows a repository: notes in it, so that a push can ask them at once.

A note is made by the daemon that follows and names its socket. Where the daemon may not write
into the repository there is none, and what is pushed is found at its next look.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path("weaver", "daemons")
MOST_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A daemon that follows a branch of a repository on this host."""

    home: str
    socket: str
    branch: str


def git_dir(place: Path) -> Path | None:
    """Give the directory of the repository at a place of this host, None where none is."""
    found = (folder for folder in (place, place / ".git") if (folder / "HEAD").is_file())
    return next(found, None)


def note(repository: Path, key: str, follower: Follower) -> bool:
    """Leave a note in a repository's directory; tell whether that could be done."""
    place = repository / FOLDER / key
    beside = place.with_name(f".{key}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(asdict(follower)), encoding="utf-8")
        beside.replace(place)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        return False
    return True


def forget(repository: Path, key: str) -> None:
    """Take a note away, where that can be done."""
    with suppress(OSError):
        (repository / FOLDER / key).unlink(missing_ok=True)


def followers(repository: Path) -> list[Follower]:
    """Give who follows a repository; of homes that are gone, the notes are left out."""
    folder = repository / FOLDER
    with suppress(OSError):
        notes = sorted(place for place in folder.iterdir() if not place.name.startswith("."))
        found = (_read(place) for place in notes)
        return [one for one in found if one is not None and Path(one.home).is_dir()]
    return []


def _read(place: Path) -> Follower | None:
    try:
        with place.open("rb") as file:
            said = json.loads(file.read(MOST_BYTES))
        return Follower(home=said["home"], socket=said["socket"], branch=said["branch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
