"""Refuse to write where a commit of ours would harm somebody, and say the way out."""

from __future__ import annotations

import errno
import os

from reconciler.adapters.git.checkout import Checkout, foreign_owner
from reconciler.adapters.git.state import operation_in_progress
from reconciler.manifest.naming import FOLDER
from reconciler.model.desired import Revision
from reconciler.ports import (
    BlockedError,
    ConflictError,
    ForbiddenError,
    HostError,
    ManifestError,
    WeaverError,
)

SHORTEST_REVISION = 7

_MENDS = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space in the quota",
    errno.EROFS: "make the file system writable; services are not affected",
}


def refuse_foreign(checkout: Checkout) -> None:
    """Refuse where our objects would belong to another user than the repository."""
    owner = foreign_owner(checkout)
    if owner is not None:
        raise ForbiddenError(
            f"cannot commit: {checkout.git_dir} belongs to uid {owner}, and this is uid "
            f"{os.geteuid()}",
            mend=f"run weaver as the user with uid {owner}",
        )


def refuse_read_only(checkout: Checkout) -> None:
    """Refuse early where nothing could be written in the end."""
    places = (checkout.root, checkout.root / FOLDER, checkout.git_dir, checkout.common_dir)
    for place in places:
        if place.exists() and not os.access(place, os.W_OK):
            raise HostError(
                f"cannot commit: {place} is read-only for uid {os.geteuid()}",
                mend="make it writable; services are not affected",
            )


def refuse_link(checkout: Checkout) -> None:
    """Refuse where what is written would land in another folder than git sees."""
    if (checkout.root / FOLDER).is_symlink():
        raise ConflictError(
            f"cannot commit: {checkout.root / FOLDER} is a link",
            mend="make it a folder of the repository",
        )


def refuse_operation(checkout: Checkout) -> None:
    """Refuse while somebody has a merge, a rebase or the like unfinished."""
    operation, _, mend = operation_in_progress(checkout).partition("; mend: ")
    if operation:
        raise ConflictError(f"cannot commit: {operation}", mend=mend)


def refuse_stale(wanted: str, base: Revision) -> None:
    """Refuse where HEAD is not the commit that the person has seen."""
    if not wanted:
        return
    digits = wanted.lower()
    if len(digits) < SHORTEST_REVISION or not set(digits) <= set("0123456789abcdef"):
        raise ManifestError(
            f"cannot compare with the revision {wanted!r}", mend="give a commit, as `git log` does"
        )
    if not base.commit.startswith(digits):
        raise ConflictError(
            f"cannot commit: {base.branch or 'HEAD'} is at {base.commit[:12] or 'no commit'}, "
            f"not at {wanted}",
            mend="look at `weaver diff` again, and repeat with the revision that it names",
        )


def refuse_detached(checkout: Checkout, base: Revision) -> None:
    """Refuse where a commit would belong to no branch."""
    if not base.branch:
        raise BlockedError(
            f"cannot commit: {checkout.top} is on no branch (detached HEAD)",
            mend="switch to a branch: `git switch main`",
        )


def worded(fault: OSError) -> WeaverError:
    """Give what the system refused as an error for a person."""
    what = f"cannot write back: {fault.filename or 'the repository'}: {fault.strerror}"
    if fault.errno in {errno.EACCES, errno.EPERM}:
        return ForbiddenError(what, mend=f"let uid {os.geteuid()} write there")
    return HostError(what, mend=_MENDS.get(fault.errno or 0, "check the disk that holds it"))
