"""Commit a change to another branch than the one that is followed: nothing of it takes effect.

Neither the person's index nor their files are touched. The branch begins at HEAD where it is new.
"""

from __future__ import annotations

from reconciler.adapters.git import guards, layers, locks, message, plumbing, recovery
from reconciler.adapters.git.checkout import Checkout
from reconciler.adapters.git.committing import Words, author_notes, write_commit, write_texts
from reconciler.adapters.git.edits import Edit
from reconciler.adapters.git.objects import Objects
from reconciler.adapters.git.outcome import work_out
from reconciler.adapters.git.references import BranchMovedError, Move
from reconciler.adapters.git.state import head
from reconciler.model.desired import Revision
from reconciler.ports import CommitRequest, Committed, ConflictError, ManifestError


def propose(
    checkout: Checkout, request: CommitRequest, edit: Edit, lock_wait_s: float = locks.WAIT_S
) -> Committed:
    """Make the change to the branch that the request names. Raises WeaverError with the mend."""
    try:
        guards.refuse_foreign(checkout)
        guards.refuse_read_only(checkout)
        with locks.writer(checkout, lock_wait_s):
            recovery.sweep(checkout)
            return _propose(checkout, request, edit)
    except OSError as fault:
        raise guards.worded(fault) from fault
    except BranchMovedError as lost:
        raise ConflictError(
            f"cannot commit to {request.branch}: {lost}", mend="try again"
        ) from lost


def _propose(checkout: Checkout, request: CommitRequest, edit: Edit) -> Committed:
    here = head(checkout)
    guards.refuse_stale(request.if_revision, here)
    old = _tip(checkout, request.branch)
    base = Revision(commit=old or here.commit, branch=request.branch)
    found = layers.read_committed(checkout, base)
    outcome = work_out(found, edit)
    with Objects(checkout) as objects:
        ids = write_texts(objects, outcome)
        commit = write_commit(checkout, Words(request=request), objects, found, outcome, ids)
    if commit:
        with Move(checkout, message.reflog_note(request)) as move:
            move.prepare(request.branch, commit, old)
            move.commit()
    return Committed(
        commit=commit or base.commit,
        changed=bool(commit),
        files=outcome.files,
        notes=tuple(author_notes(request, commit)),
    )


def _tip(checkout: Checkout, branch: str) -> str:
    """Give where a branch is, empty where it is new; refuse what is no name, or somebody's place.

    A branch that a work tree has checked out would leave that work tree behind.
    """
    name = f"refs/heads/{branch}"
    if not _is_name(checkout, branch):
        raise ManifestError(
            f"cannot commit to {branch!r}: it is no name for a branch", mend="see git help branch"
        )
    listed = plumbing.run(
        checkout, "for-each-ref", "--format=%(refname)%00%(objectname)%00%(worktreepath)", name
    )
    for line in listed.decode(errors="replace").splitlines():
        found, tip, place = line.split("\0")
        if found == name and place:
            raise ConflictError(
                f"cannot commit to {branch}: it is checked out in {place}",
                mend="name another branch, or leave --branch out to change what runs",
            )
        if found == name:
            return tip
    return ""


def _is_name(checkout: Checkout, branch: str) -> bool:
    if branch.startswith("-") or branch == "HEAD":
        return False
    printed = plumbing.run(checkout, "check-ref-format", "--branch", branch, accept=(0, 1, 128))
    return printed.decode(errors="replace").rstrip("\n") == branch
