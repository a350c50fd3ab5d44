"""What a home follows: noted in its state directory, so that every daemon there knows it.

The note is private, and the address appears on no command line: there may be a secret in it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from reconciler.ports import HostError

NOTE = "follow.json"
MIRROR = "mirror.git"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A branch of a repository elsewhere."""

    url: str
    branch: str
    folder: str = ""
    """The folder in it that holds `services.d`; empty: its top."""


def read(state: Path) -> Followed | None:
    """Give what is followed; None where it is the home itself. Raises HostError."""
    place = state / NOTE
    try:
        found = json.loads(place.read_text("utf-8"))
        return Followed(url=found["url"], branch=found["branch"], folder=found["folder"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise HostError(
            f"cannot tell what is followed: {place}: {why}",
            mend="say it again: weaver up --repo URL --branch NAME",
        ) from why


def write(state: Path, followed: Followed) -> None:
    """Note what is followed from now on. The directory must be there."""
    place = state / NOTE
    beside = place.with_name(f"{NOTE}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(followed), file)
        file.flush()
        os.fsync(descriptor)
    beside.replace(place)


def forget(state: Path) -> None:
    """Follow the home itself from now on."""
    (state / NOTE).unlink(missing_ok=True)
