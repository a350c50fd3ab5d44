"""Find the git repository around a folder, by reading files alone.

`.git` may be a file (submodules, linked work trees), and the folder with the manifests may lie
anywhere below the top of the work tree. A mirror has no work tree at all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reconciler.ports import NotFoundError

ROOT_MARKS = (".weaver", "services.d", "weaver.yaml")
"""What tells that a folder is the root of a set of manifests."""

_GITMAX_FILE_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Repo:
    """Objects and references, and the folder of every revision that its manifests are in."""

    git_dir: Path
    """What is this work tree's own: HEAD, the index, a merge in progress; of a mirror, all."""
    common_dir: Path
    """What all work trees share: objects, branches."""

    @property
    def prefix(self) -> str:
        """Give what git puts before a manifest's path: empty, or `deploy/`."""
        raise NotImplementedError

    @property
    def work_tree(self) -> Path | None:
        """Give the top of the work tree; None where there is none."""
        return None

    @property
    def objects(self) -> Mapping[str, str]:
        """Give what git has to be told besides, for it to find the objects."""
        return {}

    @property
    def place(self) -> Path:
        """Give the folder that people know it by, and that git is run in."""
        return self.work_tree or self.git_dir

    def in_git(self, path: str) -> str:
        """Give git's path of a manifest."""
        return self.prefix + path

    def from_git(self, path: str) -> str:
        """Give a manifest's path of git's."""
        return path.removeprefix(self.prefix)


@dataclass(frozen=True, kw_only=True)
class Checkout(Repo):
    """One work tree and the repository that it belongs to."""

    root: Path
    """The folder that holds `services.d`; paths of manifests are relative to it."""
    top: Path
    """The top of the work tree, `root` itself or a parent of it."""
    index: str = ""
    """The file of the index, where it is not the work tree's own."""

    @cached_property
    def prefix(self) -> str:
        """Give what git puts before a manifest's path: empty, or `deploy/`."""
        inner = self.root.relative_to(self.top).as_posix()
        return "" if inner == "." else f"{inner}/"

    @property
    def objects(self) -> Mapping[str, str]:
        """Give what git has to be told besides: which index is meant."""
        return {"GIT_INDEX_FILE": self.index} if self.index else {}

    @property
    def work_tree(self) -> Path:
        """Give the top of the work tree."""
        return self.top


@dataclass(frozen=True, kw_only=True)
class Bare(Repo):
    """A repository without a work tree: a mirror that is followed, or one that is pushed to."""

    folder: str = ""
    """The folder in each revision that holds `services.d`; empty: its top."""
    quarantine: tuple[tuple[str, str], ...] = ()
    """Where git finds objects besides, by the names it gives that: those of a push that is not
    accepted yet, or of a checkout whose branch is pushed."""

    @classmethod
    def at(
        cls, git_dir: Path, folder: str = "", quarantine: tuple[tuple[str, str], ...] = ()
    ) -> Bare:
        """Give the repository in a directory."""
        return cls(git_dir=git_dir, common_dir=git_dir, folder=folder, quarantine=quarantine)

    @property
    def objects(self) -> Mapping[str, str]:
        """Give what git has to be told besides, for it to find the objects."""
        return dict(self.quarantine)

    @property
    def prefix(self) -> str:
        """Give what git puts before a manifest's path."""
        return f"{self.folder}/" if self.folder else ""


def find_root(start: Path) -> Path | None:
    """Find the nearest folder, from `start` upwards, that a set of manifests belongs to."""
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in ROOT_MARKS):
            return candidate
    return None


def locate(root: Path) -> Checkout:
    """Find the repository around a folder. Raises NotFoundError where there is none."""
    folder = root.resolve()
    for top in (folder, *folder.parents):
        git_dir = _git_dir_at(top)
        if git_dir is not None:
            return Checkout(
                root=folder, top=top, git_dir=git_dir, common_dir=_common_dir_of(git_dir)
            )
    raise NotFoundError(
        f"cannot use {folder}: not a git repository", mend="make it one with `weaver init`"
    )


def _git_dir_at(top: Path) -> Path | None:
    """Give the git directory of a work tree whose top this is, None where it is not one."""
    entry = top / ".git"
    try:
        text = _read_small(entry)
    except IsADirectoryError:
        return entry if _is_git_dir(entry) else None
    except OSError:
        return None
    if not text.startswith("gitdir: "):
        return None
    target = Path(os.path.normpath(top / text.removeprefix("gitdir: ").rstrip("\r\n")))
    return target if _is_git_dir(target) else None


def _is_git_dir(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (_common_dir_of(folder) / "objects").is_dir()


def _common_dir_of(git_dir: Path) -> Path:
    try:
        text = _read_small(git_dir / "commondir")
    except OSError:
        return git_dir
    return Path(os.path.normpath(git_dir / text.rstrip("\r\n")))


def _read_small(path: Path) -> str:
    with path.open("rb") as file:
        return os.fsdecode(file.read(_GITMAX_FILE_BYTES))


def foreign_owner(checkout: Checkout) -> int | None:
    """Give the uid that owns the repository where it is not ours, None where it is."""
    ours = os.geteuid()
    for folder in (checkout.git_dir, checkout.common_dir, checkout.common_dir / "objects"):
        owner = folder.stat().st_uid
        if owner != ours:
            return owner
    return None
