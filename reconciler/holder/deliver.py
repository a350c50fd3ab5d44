"""Deliver a signal to a run: to those whom it is meant for, and to nobody else."""

from __future__ import annotations

import os
import signal

from reconciler.holder import tree

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from reconciler.holder.ledger import Run


def deliver(run: Run, main: int | None, number: int, scope: str) -> int:
    """Send a signal to the `main` process, its `group` or the whole `tree`; count whom it reached.

    `main` is the pidfd of the main process while that lives. A group that is reached as a whole
    counts as one.
    """
    if main is None:
        return 0 if scope == "main" else to_members(run, _found(run), number, scope)
    # Raises ProcessLookupError if the main process ended and nobody told us yet.
    signal.pidfd_send_signal(main, number if scope == "main" else 0)
    if scope == "main":
        return 1
    os.killpg(run.pid or 0, number)
    return 1 + (to_members(run, _found(run), number, "outside") if scope == "tree" else 0)


def to_members(run: Run, members: Collection[tree.Process], number: int, scope: str) -> int:
    """Send a signal to those of a run that were found: its group, who is outside, or both."""
    inside = [member for member in members if member.group == run.pid and scope != "outside"]
    outside = [member for member in members if member.group != run.pid and scope != "group"]
    # At once to the group, before those in it can fork; the number of a group means nobody else
    # while somebody whom we hold on to is in it.
    return _send_to_one(inside, number, whole_group=True) + sum(
        _send_to_one([member], number, whole_group=False) for member in outside
    )


def _found(run: Run) -> list[tree.Process]:
    return tree.survey([run])[run.id]


def _send_to_one(members: Iterable[tree.Process], number: int, *, whole_group: bool) -> bool:
    """Send to the first of these that still lives, or to its group; False when none does."""
    for member in members:
        pidfd = tree.pin(member.pid, member.born)
        if pidfd is None:
            continue
        try:
            # A signal of 0 checks once more that it is there, and may be signalled.
            signal.pidfd_send_signal(pidfd, 0 if whole_group else number)
            if whole_group:
                os.killpg(member.group, number)
            return True
        except ProcessLookupError:
            continue
        finally:
            os.close(pidfd)
    return False
