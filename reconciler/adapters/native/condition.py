"""See whether processes were stopped or reniced by hand, and renice them back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.holder import fate
from reconciler.model.observed import ProcessId
from reconciler.model.status import Condition

_MOST = 1024
"""Bytes of /proc/PID/stat, which has fewer."""
_STATE, _NICE, _BORN = 0, 16, 19
"""Fields of it, counted from the state, which follows the name."""


def conditions(targets: Iterable[ProcessId], proc: str = "/proc") -> Mapping[ProcessId, Condition]:
    """Give how processes are; those that are gone are left out."""
    found = {}
    for target in targets:
        condition = _condition(target, proc)
        if condition is not None:
            found[target] = condition
    return found


def _condition(target: ProcessId, proc: str) -> Condition | None:
    # One read a process is all that a thousand of them may cost every few seconds.
    try:
        file = os.open(f"{proc}/{target.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stat = os.read(file, _MOST)
    except OSError:
        return None
    finally:
        os.close(file)
    # The name in parentheses may hold anything, so count fields from its end.
    fields = stat[stat.rindex(b")") + 2 :].split()
    if int(fields[_BORN]) != target.born:
        return None
    # What a debugger has stopped is `t`, but for what it has yet to hear of.
    is_halted = fields[_STATE] == b"T" and not _is_traced(target.pid, proc)
    return Condition(is_halted=is_halted, nice=int(fields[_NICE]))


def _is_traced(pid: int, proc: str) -> bool:
    try:
        lines = Path(proc, str(pid), "status").read_bytes().splitlines()
    except OSError:
        return False
    return any(line.startswith(b"TracerPid:") and line.split()[1] != b"0" for line in lines)


def renice(pid: int, born: int, nice: int) -> str:
    """Give a process a nice, if it is exactly this one; say why that cannot be."""
    pidfd = fate.pin(pid, born)
    if pidfd is None:
        return "it is gone"
    try:
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    except OSError as error:
        return f"renice to {nice}: {(error.strerror or str(error)).lower()}"
    finally:
        os.close(pidfd)
    return ""
