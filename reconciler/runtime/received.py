"""What git tells the hooks of a repository about a push."""

from __future__ import annotations

import os
from dataclasses import dataclass

from reconciler.ports import ManifestError

BRANCHES = "refs/heads/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """One reference that is to be moved, or was."""

    old: str
    """Empty: it is new."""
    new: str
    """Empty: it is to go."""
    ref: str

    @property
    def branch(self) -> str:
        """Give the branch's name; empty where it is none."""
        return self.ref.removeprefix(BRANCHES) if self.ref.startswith(BRANCHES) else ""


def read_pushed(said: bytes) -> list[Pushed]:
    """Read `OLD NEW REF` from each line; a reference may have any bytes but blanks of ASCII.

    Raises ManifestError for what git never says: what is not understood is not let through.
    """
    found = []
    for line in said.split(b"\n"):
        if not line:
            continue
        words = line.split(b" ", 2)
        if len(words) != 3 or not all(words):
            raise ManifestError(f"cannot understand what is pushed: {line[:200]!r}")
        old, new = (word.decode("ascii", "replace") for word in words[:2])
        found.append(
            Pushed(
                old=old if old.strip("0") else "",
                new=new if new.strip("0") else "",
                ref=os.fsdecode(words[2]),
            )
        )
    return found
