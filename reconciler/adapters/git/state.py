"""Say where a checkout stands, in microseconds and without starting git where files can tell.

The daemon asks at every read: which commit, which branch, and whether git is at work just now so
that the saved files are somebody's half-way point and no desired state.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from reconciler.adapters.git import locks, recovery
from reconciler.adapters.git.checkout import Checkout, Repo, locate
from reconciler.adapters.git.listing import LINK_MODE, Entry, list_tree
from reconciler.adapters.git.locks import Holder
from reconciler.adapters.git.plumbing import run
from reconciler.model.desired import Revision
from reconciler.ports import HostError, NotFoundError

_BRANCHES = "refs/heads/"
_SYMREF_DEPTH = 5
_REFTABLE_HEAD = "refs/heads/.invalid"
"""What HEAD says where the references live in another format than files."""

_IN_PROGRESS = (
    ("rebase-merge", "a rebase", "`git rebase --continue` or `git rebase --abort`"),
    ("rebase-apply", "a rebase or `git am`", "`git rebase --abort` or `git am --abort`"),
    ("MERGE_HEAD", "a merge", "`git commit` or `git merge --abort`"),
    ("CHERRY_PICK_HEAD", "a cherry-pick", "`git cherry-pick --continue` or `--abort`"),
    ("REVERT_HEAD", "a revert", "`git revert --continue` or `git revert --abort`"),
    ("sequencer", "a cherry-pick or revert", "`git cherry-pick --abort` or `git revert --abort`"),
    ("BISECT_LOG", "a bisect", "`git bisect reset`"),
)


def head(repo: Repo) -> Revision:
    """Give HEAD's commit and branch (`dirty` is left empty)."""
    text = _read_ref_file(repo.git_dir / "HEAD")
    if text is None:
        raise NotFoundError(
            f"cannot read {repo.git_dir / 'HEAD'}", mend="check it with `git status`"
        )
    target = text.removeprefix("ref: ")
    if target == text:
        return Revision(commit=text)
    if target == _REFTABLE_HEAD:
        return _ask_git_for_head(repo)
    return Revision(commit=resolve(repo, target), branch=_branch_of(target))


def _branch_of(name: str) -> str:
    return name.removeprefix(_BRANCHES) if name.startswith(_BRANCHES) else ""


def resolve(repo: Repo, name: str) -> str:
    """Follow a reference to its commit; empty where the branch has none yet."""
    for _ in range(_SYMREF_DEPTH):
        text = _read_ref_file(repo.common_dir / name)
        if text is None:
            return _packed_ref(repo, name)
        if not text.startswith("ref: "):
            return text
        name = text.removeprefix("ref: ")
    raise HostError(f"cannot follow {name}: references refer to each other")


def _read_ref_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _packed_ref(repo: Repo, name: str) -> str:
    wanted = b" " + os.fsencode(name)
    try:
        with (repo.common_dir / "packed-refs").open("rb") as lines:
            for line in lines:
                if line.rstrip(b"\n").endswith(wanted) and line[:1] not in b"#^":
                    return line.split(b" ", 1)[0].decode("ascii")
    except FileNotFoundError:
        pass
    return ""


def _ask_git_for_head(repo: Repo) -> Revision:
    branch = run(repo, "symbolic-ref", "-q", "HEAD", accept=(0, 1)).decode().strip()
    commit = run(repo, "rev-parse", "-q", "--verify", "HEAD", accept=(0, 1)).decode().strip()
    return Revision(commit=commit, branch=_branch_of(branch))


def reading_hold(root: Path, patience_s: float = 0.0) -> str:
    """Say why the saved files must not be trusted now, and the mend; empty when they may be.

    A lock, which most git commands hold for milliseconds only, is given `patience_s` to go away.
    """
    try:
        checkout = locate(root)
    except NotFoundError as gone:
        return f"{gone}; mend: {gone.mend}"
    deadline = time.monotonic() + patience_s
    while (hold := _hold_now(checkout)) and time.monotonic() < deadline:
        time.sleep(locks.PAUSE_S)
    return hold


def _hold_now(checkout: Checkout) -> str:
    operation = operation_in_progress(checkout)
    if operation:
        return operation
    match locks.index_holder(checkout):
        case Holder.NOBODY:
            return ""
        case Holder.DEAD_WEAVER:
            recovery.clear_left_over(checkout)
            return ""
        case Holder.WEAVER:
            return f"weaver is writing a commit in {checkout.top}; mend: wait, it takes a moment"
        case Holder.OTHER:
            return (
                f"git is at work in {checkout.top} ({locks.index_lock(checkout)}); mend: let it "
                "end, or remove the file if no git command is running"
            )


def operation_in_progress(checkout: Checkout) -> str:
    """Name the git operation that somebody has not finished, and how it ends; empty for none."""
    for mark, what, end in _IN_PROGRESS:
        path = checkout.git_dir / mark
        if path.exists():
            return f"{what} is in progress in {checkout.top} ({path}); mend: end it with {end}"
    return ""


def algorithm_of(blob: str) -> str:
    """Give the hash that ids of this length are made with."""
    return "sha256" if len(blob) == 64 else "sha1"


def blob_id(data: bytes, algorithm: str = "sha1") -> str:
    """Give the id that git gives these bytes.

    >>> blob_id(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.new(
        algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False
    ).hexdigest()


def dirty_paths(checkout: Checkout, commit: str, saved: Mapping[str, bytes]) -> tuple[str, ...]:
    """Name the manifests whose saved bytes are not the commit's; deleted ones too.

    `saved` holds every manifest as read. The index is neither asked nor touched.
    """
    committed = _listing(checkout, commit) if commit else {}
    gone = committed.keys() - saved.keys()
    changed = {
        path
        for path, data in saved.items()
        if path not in committed or not _is_same(checkout, path, committed[path], data)
    }
    return tuple(sorted(gone | changed))


def _is_same(checkout: Checkout, path: str, entry: Entry, data: bytes) -> bool:
    algorithm = algorithm_of(entry.blob)
    if entry.mode == LINK_MODE:
        return _is_same_link(checkout.root / path, entry.blob, algorithm)
    if blob_id(data, algorithm) == entry.blob:
        return True
    # A checkout with `core.autocrlf` saves the commit's lines with other ends.
    return b"\r\n" in data and blob_id(data.replace(b"\r\n", b"\n"), algorithm) == entry.blob


def _is_same_link(path: Path, blob: str, algorithm: str) -> bool:
    try:
        return blob_id(os.fsencode(path.readlink()), algorithm) == blob
    except OSError:
        return False


@lru_cache(maxsize=4)
def _listing(checkout: Checkout, commit: str) -> Mapping[str, Entry]:
    return {entry.path: entry for entry in list_tree(checkout, commit) if entry.is_manifest}
