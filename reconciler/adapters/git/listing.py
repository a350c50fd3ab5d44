"""List what a revision holds under the folder of the manifests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.plumbing import run
from reconciler.manifest.naming import FOLDER, is_manifest

FILE_MODES = frozenset({"100644", "100755"})
LINK_MODE = "120000"
SETTINGS = "weaver.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a tree."""

    path: str
    """Relative to the folder of the manifests' root."""
    mode: str
    blob: str
    size: int

    @property
    def is_manifest(self) -> bool:
        """Tell whether this path is one that manifests are read from."""
        return is_manifest(self.path)


def list_tree(repo: Repo, commit: str, paths: Sequence[str] = (FOLDER, SETTINGS)) -> list[Entry]:
    """List what a commit has at these paths and below: `services.d` and `weaver.yaml`."""
    output = run(
        repo,
        *("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--"),
        *(repo.in_git(path) for path in paths),
    )
    return [_entry(repo, record) for record in output.split(b"\0") if record]


def _entry(repo: Repo, record: bytes) -> Entry:
    facts, _, path = record.partition(b"\t")
    mode, _, blob, size = facts.decode("ascii").split()
    return Entry(
        path=repo.from_git(os.fsdecode(path)),
        mode=mode,
        blob=blob,
        size=int(size) if size.isdigit() else 0,
    )
