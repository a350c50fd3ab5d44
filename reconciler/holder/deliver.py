"""Deliver a signal to a run: to those whom it is meant for, and to nobody else."""

from __future__ import annotations

import os
import signal

from reconciler.failpoints import failpoint
from reconciler.holder import cgroup, tree
from reconciler.holder.cgroup import MAIN

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from reconciler.holder.ledger import Run


def deliver(
    run: Run, main: int | None, survivors: Mapping[int, int], number: int, scope: str
) -> int:
    """Send a signal to the `main` process, its `group` or the whole `tree`; count whom it reached.

    `main` is the pidfd of the main process while that lives, `survivors` are pidfds and pids of
    what outlived it. A group that is led by the main process counts as one. Killing a tree does
    not look for those who left both group and leaf: a run that is doomed is searched in the end.
    """
    if main is None:
        return 0 if scope == "main" else _to_the_rest(run, survivors, number, scope)
    if run.moved is not None and scope != "main":
        # The group that the first process led is not that of the one that is the main one now.
        return _to_the_rest(run, {**survivors, main: run.moved[0]}, number, scope)
    # Raises ProcessLookupError if the main process ended and nobody told us yet.
    signal.pidfd_send_signal(main, number if scope == "main" else 0)
    if scope == "main":
        return 1
    is_end = number == signal.SIGKILL and scope == "tree"
    # The leaf first: what it kills cannot fork any more.
    reached = cgroup.send(run.leaves[MAIN], number) if is_end and MAIN in run.leaves else 0
    if run.pid:  # 0 would be our own group
        os.killpg(run.pid, number)
    if scope == "tree" and not is_end:
        reached = _to_the_rest(run, survivors, number, "outside")
    return 1 + reached


def inhabitants(run: Run) -> list[tree.Process]:
    """Give who lives in the leaf of a run."""
    pids = cgroup.members(run.leaves[cgroup.MAIN]) if cgroup.MAIN in run.leaves else []
    found = [tree.find(pid) for pid in pids]
    return [process for process in found if process is not None and not process.is_dead]


def eldest_leader(run: Run, marked: Collection[tree.Process]) -> tree.Process | None:
    """Give the main process of a run of which no pid is known; None where it is gone.

    It has the run's mark, or was born in its leaf and has it not yet, or not any more. Others that
    lead a session were started by it.
    """
    leaders = [one for one in (*marked, *inhabitants(run)) if one.pid == one.session]
    return min(leaders, key=lambda one: one.born, default=None)


def to_members(run: Run, members: Collection[tree.Process], number: int, scope: str) -> int:
    """Send a signal to those of a run that were found: its group, who is outside, or both."""
    inside = [member for member in members if member.group == run.pid and scope != "outside"]
    outside = [member for member in members if member.group != run.pid and scope != "group"]
    # At once to the group, before those in it can fork; the number of a group means nobody else
    # while somebody whom we hold on to is in it.
    failpoint("holder.sweep.before")
    any(_send(member, number, whole_group=True) for member in inside)
    # Whoever was in the group when we looked may have left it since.
    again = inside if number == signal.SIGKILL else []
    for member in [*outside, *again]:
        _send(member, number, whole_group=False)
    failpoint("holder.sweep.after")
    return len(inside) + len(outside)


def _to_the_rest(run: Run, survivors: Mapping[int, int], number: int, scope: str) -> int:
    leaf = run.leaves.get(MAIN)
    inside = cgroup.members(leaf) if leaf is not None and scope == "tree" else []
    if leaf is not None and inside and (reached := cgroup.send(leaf, number)):
        others = [fd for fd, pid in survivors.items() if pid not in inside]
        return reached + sum(_send_to(fd, number) for fd in others)
    members = tree.survey([run])[run.id]
    reached = to_members(run, members, number, scope)
    if scope == "tree":
        # Whoever has wiped all marks since we began to watch it is still known by its pidfd.
        found = {member.pid for member in members}
        reached += sum(_send_to(fd, number) for fd, pid in survivors.items() if pid not in found)
    return reached


def _send(member: tree.Process, number: int, *, whole_group: bool) -> bool:
    """Send to a process, or to its group while it lives; False when it is gone."""
    pidfd = tree.pin(member.pid, member.born)
    if pidfd is None:
        return False
    try:
        # A signal of 0 asks once more whether it is there.
        if not _send_to(pidfd, 0 if whole_group else number):
            return False
        if whole_group:
            os.killpg(member.group, number)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)


def _send_to(pidfd: int, number: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except (ProcessLookupError, PermissionError):
        # One that we may not signal must not keep the others alive.
        return False
    return True
