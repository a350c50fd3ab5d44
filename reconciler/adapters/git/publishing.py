"""Put what waits beside in its place: saved files, the index, the branch; all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from reconciler.adapters.git import index, saved
from reconciler.adapters.git.checkout import Checkout
from reconciler.adapters.git.edits import Changes
from reconciler.adapters.git.index import Staged
from reconciler.adapters.git.references import BranchMovedError, Move
from reconciler.adapters.git.saved import SavedFile
from reconciler.adapters.git.state import head
from reconciler.model.desired import Revision
from reconciler.ports import HostError

Tell = Callable[[str], None]
"""Told the name of each step that was reached, so that tests can end the process there."""
STEPS = ("locked", "objects", "beside", "prepared", "saved", "staged", "committed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What everything is to be once the change is published."""

    base: Revision
    commit: str
    """Empty where the branch stays."""
    note: str
    """For the reflog."""
    staged: Sequence[Staged]
    saved: Changes
    saved_files: Mapping[str, SavedFile]


def publish(checkout: Checkout, target: Target, tell: Tell) -> None:
    """Prepare everything beside, then put it in place.

    Raises BranchMovedError or SavedFileMovedError where somebody else was faster; then, as after
    any other failure, everything is as it was.
    """
    with ExitStack() as beside:
        replacements = saved.write_beside(checkout.root, target.saved, target.saved_files)
        beside.callback(saved.discard, replacements)
        new_index = None
        if target.staged:
            new_index = index.write_beside(checkout, target.staged)
            beside.callback(new_index.discard)
        tell("beside")
        move = None
        if target.commit:
            move = beside.enter_context(Move(checkout, target.note))
            _lock_branch(checkout, target, move)
        tell("prepared")
        saved.refuse_moved(replacements)
        with ExitStack() as back:
            back.callback(saved.take_back, checkout.root, replacements)
            saved.publish(replacements)
            tell("saved")
            if new_index is not None:
                back.callback(new_index.take_back)
                new_index.publish()
            tell("staged")
            if move is not None:
                _finish(checkout, target, move)
            back.pop_all()
        tell("committed")


def _lock_branch(checkout: Checkout, target: Target, move: Move) -> None:
    """Lock the branch where it is, and make sure that HEAD still names it."""
    base = target.base
    move.prepare(base.branch, target.commit, base.commit)
    now = head(checkout)
    if (now.branch, now.commit) != (base.branch, base.commit):
        raise BranchMovedError(f"HEAD went to {now.branch or now.commit}")


def _finish(checkout: Checkout, target: Target, move: Move) -> None:
    """Publish the commit; a complaint of anybody's counts only where the branch stayed."""
    try:
        move.commit()
    except (HostError, OSError):
        # Until git has ended it may still do what it was told.
        move.hang_up()
        if head(checkout).commit != target.commit:
            raise
