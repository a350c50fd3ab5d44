"""Read the person's index, and write a new one beside it that takes its place in one rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.git.checkout import Checkout, Repo
from reconciler.adapters.git.listing import SETTINGS, Entry
from reconciler.adapters.git.locks import LEFT_OVER
from reconciler.adapters.git.plumbing import run
from reconciler.adapters.git.revisions import RevisionFiles, read_entries
from reconciler.failpoints import failpoint
from reconciler.manifest.naming import FOLDER
from reconciler.ports import ConflictError

NEW_FILE_MODE = "100644"
GONE_MODE = "0"
"""The mode of an entry that is to be removed."""
_SKIPPED = "S"
"""How `ls-files -v` marks what a sparse checkout leaves out; lower case is assume-unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """One entry of the index."""

    path: str
    mode: str
    blob: str
    stage: int = 0
    tag: str = "H"


def read_index(checkout: Checkout) -> dict[str, Staged]:
    """Give the entries below `services.d`. Raises ConflictError where one is unmerged."""
    output = run(
        checkout,
        *("ls-files", "-s", "-v", "-z", "--full-name", "--"),
        *(checkout.in_git(path) for path in (FOLDER, SETTINGS)),
    )
    entries = [_staged(checkout, record) for record in output.split(b"\0") if record]
    unmerged = next((entry.path for entry in entries if entry.stage), None)
    if unmerged is not None:
        raise ConflictError(
            f"cannot change {unmerged}: it has conflicts that nobody has resolved",
            mend=f"edit it, then `git add {unmerged}`",
        )
    return {entry.path: entry for entry in entries}


def _staged(checkout: Checkout, record: bytes) -> Staged:
    facts, _, path = record.partition(b"\t")
    tag, mode, blob, stage = facts.decode("ascii").split()
    return Staged(
        path=checkout.from_git(os.fsdecode(path)), mode=mode, blob=blob, stage=int(stage), tag=tag
    )


def read_staged(checkout: Checkout) -> RevisionFiles:
    """Read the manifests as staged, for a comparison with the commit."""
    entries = [
        Entry(path=entry.path, mode=entry.mode, blob=entry.blob, size=0)
        for entry in read_index(checkout).values()
    ]
    return read_entries(checkout, "", entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIndex:
    """An index that waits beside the person's, and a copy of theirs as it was."""

    place: Path
    beside: Path
    before: Path
    """Missing where there was no index yet."""

    def publish(self) -> None:
        """Put the new one in place, by one rename."""
        failpoint("git.index.before")
        self.beside.replace(self.place)
        failpoint("git.index.renamed")

    def take_back(self) -> None:
        """Undo `publish` after a later step failed."""
        if self.before.exists():
            self.before.replace(self.place)
        else:
            self.place.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was not put in place."""
        self.beside.unlink(missing_ok=True)
        self.before.unlink(missing_ok=True)


def write_beside(checkout: Checkout, changes: Sequence[Staged]) -> NewIndex:
    """Write a copy of the index in which these entries are set, or gone by their mode.

    Every other entry, and whatever else git keeps in an index, stays as it was.
    """
    place = checkout.git_dir / "index"
    new = NewIndex(
        place=place,
        beside=place.with_name(f"{LEFT_OVER}index-new"),
        before=place.with_name(f"{LEFT_OVER}index-before"),
    )
    for copy in (new.beside, new.before):
        with suppress(FileNotFoundError):
            shutil.copy2(place, copy)
    at = {"GIT_INDEX_FILE": str(new.beside)}
    lines = records(checkout, changes)
    run(checkout, "update-index", "--add", "-z", "--index-info", stdin=lines, extra=at)
    for option, paths in _flags(checkout, changes).items():
        run(checkout, "update-index", option, "-z", "--stdin", stdin=paths, extra=at)
    return new


def records(checkout: Repo, changes: Sequence[Staged]) -> bytes:
    """Give the lines that `update-index -z --index-info` reads."""
    return b"".join(
        f"{entry.mode} {entry.blob} 0\t".encode("ascii") + _name(checkout, entry)
        for entry in changes
    )


def _name(checkout: Repo, entry: Staged) -> bytes:
    return os.fsencode(checkout.in_git(entry.path)) + b"\0"


def _flags(checkout: Checkout, changes: Sequence[Staged]) -> Mapping[str, bytes]:
    """Give the marks that a new entry loses and must get again, with the paths that had them."""
    paths: dict[str, bytes] = {}
    for entry in changes:
        if entry.mode != GONE_MODE:
            for option in _options_of(entry.tag):
                paths[option] = paths.get(option, b"") + _name(checkout, entry)
    return paths


def _options_of(tag: str) -> list[str]:
    """Give what sets an entry's marks again: a sparse checkout's, and `assume-unchanged`."""
    skipped = ["--skip-worktree"] if tag.upper() == _SKIPPED else []
    assumed = ["--assume-unchanged"] if tag.islower() else []
    return skipped + assumed
