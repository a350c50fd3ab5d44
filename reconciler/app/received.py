"""Check what is pushed before it is accepted, in the quarantine that git keeps it in."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reconciler.adapters.git import plumbing, revisions
from reconciler.adapters.git.checkout import Bare
from reconciler.adapters.reader import OfflineReader
from reconciler.adapters.reader.folder import unreadable
from reconciler.manifest.naming import FOLDER
from reconciler.manifest.result import FileResult
from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic
from reconciler.ports import NotFoundError
from reconciler.runtime.received import Pushed

QUARANTINE = (
    "GIT_QUARANTINE_PATH",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)
"""Where git has put what is pushed, until it is accepted."""
CACHE = Path("weaver", "cache")
_LINE = re.compile(r"line \d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong in the manifests of one pushed branch."""

    branch: str
    commit: str
    faults: tuple[Diagnostic, ...] = ()
    """Errors that were not there before."""
    known: int = 0
    """How many errors were there before, and still are."""


class Receiving:
    """One push into one bare repository."""

    def __init__(self, git_dir: Path, environ: Mapping[str, str]) -> None:
        kept = {name: environ[name] for name in QUARANTINE if name in environ}
        self._git_dir = git_dir
        self._objects = tuple((name, _absolute(git_dir, name, text)) for name, text in kept.items())
        self._reader = OfflineReader(os.fspath(git_dir), git_dir / CACHE)

    def check(self, pushed: Sequence[Pushed]) -> list[Finding]:
        """Give what is newly wrong in each branch; a repository that was broken may be mended.

        Raises WeaverError where that cannot be told.
        """
        findings = [self._check(one) for one in pushed if one.branch and one.new]
        self._reader.save()
        return findings

    def _check(self, one: Pushed) -> Finding:
        after = self._errors(one.new)
        if not after:
            # What was there before does not matter, and may be past reading.
            return Finding(branch=one.branch, commit=one.new)
        before = Counter(_essence(fault) for fault in self._errors(one.old or self._main()))
        fresh = tuple(fault for fault in after if not _is_one_of(_essence(fault), before))
        return Finding(
            branch=one.branch, commit=one.new, faults=fresh, known=len(after) - len(fresh)
        )

    def _main(self) -> str:
        """Give the commit that a new branch is compared with: that of HEAD; empty for none."""
        with suppress(NotFoundError):
            return revisions.resolve(self._repo(""), "HEAD")
        return ""

    def _errors(self, commit: str) -> list[Diagnostic]:
        """Give all errors of all sets of manifests in a commit."""
        if not commit:
            return []
        return [
            fault
            for folder in self._folders(commit)
            for fault in self._read(commit, folder)
            if not fault.is_warning
        ]

    def _folders(self, commit: str) -> list[str]:
        """Give every folder of a commit that holds `services.d`."""
        said = plumbing.run(self._repo(""), "ls-tree", "-r", "-z", "--name-only", commit)
        found = set()
        for name in said.split(b"\0"):
            parts = PurePosixPath(os.fsdecode(name)).parts
            if FOLDER in parts[:-1] or parts == (FOLDER,):
                found.add("/".join(parts[: parts.index(FOLDER)]))
        return sorted(found)

    def _read(self, commit: str, folder: str) -> Iterator[Diagnostic]:
        found = revisions.read_revision(self._repo(folder), commit)
        gathered = self._reader.read_texts(found.files)
        refused = (
            FileResult(file=path, diagnostics=(unreadable(path, why),), is_broken=True)
            for path, why in sorted(found.refused.items())
        )
        whole = gathered.with_files(refused)
        prefix = f"{folder}/" if folder else ""
        for fault in whole.assemble(Revision(commit=commit), with_env_files=False).diagnostics:
            yield fault.below(prefix)

    def _repo(self, folder: str) -> Bare:
        return Bare.at(self._git_dir, folder, self._objects)


def _absolute(git_dir: Path, name: str, text: str) -> str:
    """Give what may be relative to the repository as it is from anywhere."""
    if name != "GIT_ALTERNATE_OBJECT_DIRECTORIES":
        return str(git_dir / text)
    # A path with a colon is quoted there by git, and absolute.
    return text if '"' in text else ":".join(str(git_dir / part) for part in text.split(":"))


def _is_one_of(essence: tuple[str, str, str], before: Counter[tuple[str, str, str]]) -> bool:
    """Tell whether a fault was there before, each counted once."""
    before[essence] -= 1
    return before[essence] >= 0


def _essence(fault: Diagnostic) -> tuple[str, str, str]:
    """Give what makes a fault the same one, wherever in the file it is by now."""
    return fault.source.file, fault.code, _LINE.sub("line", fault.message)
