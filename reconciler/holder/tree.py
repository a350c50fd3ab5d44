"""Find out from /proc who a process is, and which processes belong to a run.

A process is (boot id, pid, birth tick); a pid alone is reused. To a run belong

* whoever carries its mark, WEAVER_RUN=<run>, in the environment it was executed with;
* whoever is in the session that its main process leads: servers that write their title over
  their environment are found only so. The number of a session may mean strangers once the main
  process is gone, unless somebody in it was born while the main process surely lived: the kernel
  gives a number out again only when nobody uses it.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reconciler.holder.ledger import Run

MARK = "WEAVER_RUN"
ENVIRON_BYTES = 4 * 1024 * 1024  # more than the kernel takes with its default limits
CHUNK_BYTES = 128 * 1024
EXEC_PATIENCE_MS = 500
NANOS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Process:
    """One process as /proc shows it."""

    __slots__ = ("born", "group", "has_memory", "is_dead", "pid", "session")

    def __init__(self, pid: int, stat: bytes) -> None:
        # The name in parentheses may hold anything, so count fields from its end.
        fields = stat[stat.rindex(b")") + 2 :].split()
        self.pid = pid
        # A main thread that ended before the others is shown as a zombie, and yet all goes on.
        self.is_dead = fields[0] in b"ZX" and int(fields[17]) <= 1
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.born = int(fields[19])
        self.has_memory = fields[20] != b"0"


def boot_id() -> str:
    """Give the kernel's name of this boot."""
    return _read("/proc/sys/kernel/random/boot_id", 64).decode().strip()


def now() -> int:
    """Give the time since boot in nanoseconds, suspend included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def find(pid: int) -> Process | None:
    """Look a process up; a zombie is found and is dead."""
    try:
        return Process(pid, _read(f"/proc/{pid}/stat", 4096))
    except (FileNotFoundError, ProcessLookupError):
        return None


def pin(pid: int, born: int) -> int | None:
    """Open a pidfd of exactly this process; None when it is dead or somebody else now."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    process = find(pid)
    if process is not None and process.born == born and not process.is_dead:
        return pidfd
    os.close(pidfd)
    return None


def survey(runs: Collection[Run]) -> dict[str, list[Process]]:
    """Find the living processes of each of these runs, in one pass over /proc."""
    found: dict[str, list[Process]] = {run.id: [] for run in runs}
    leaders = {run.pid: run for run in runs if run.pid is not None}
    sessions: dict[int, list[Process]] = {pid: [] for pid in leaders}
    for process in _born_since(min((run.at for run in runs), default=0)):
        if process.session in sessions:
            sessions[process.session].append(process)
        elif not process.is_dead and (marked := mark(process.pid)) in found:
            found[marked].append(process)
    for pid, members in sessions.items():
        run = leaders[pid]
        is_ours = any(_was_in_session(run, member) for member in members)
        found[run.id] += [
            member
            for member in members
            if not member.is_dead and (is_ours or mark(member.pid) == run.id)
        ]
    return found


def has_group(run: Run) -> bool:
    """Tell whether anybody is left in the group that a run's first process led."""
    try:
        os.killpg(run.pid or 0, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pin_of(run: Run, pid: int) -> tuple[int, int] | None:
    """Open a pidfd of a living process of a run, and give its birth tick; None if it is none."""
    process = find(pid)
    pidfd = pin(pid, process.born) if process is not None and is_of(run, process) else None
    return None if process is None or pidfd is None else (pidfd, process.born)


def is_of(run: Run, process: Process) -> bool:
    """Tell whether a process, dead or alive, belongs to a run."""
    if process.session == run.pid:
        leader = find(process.session)
        if leader is not None and leader.born == run.born:
            return True
        return any(member.pid == process.pid for member in survey([run])[run.id])
    return mark(process.pid) == run.id


def mark(pid: int) -> str:
    """Give the run that a process carries as its mark; empty when it has none that we may see."""
    _, _, rest = (b"\0" + _settled_environ(pid)).partition(f"\0{MARK}=".encode())
    return rest.partition(b"\0")[0].decode(errors="replace")


def variables(pid: int) -> dict[bytes, bytes]:
    """Give the environment that a process was executed with, as far as we may see it."""
    pairs = (word.partition(b"=") for word in _settled_environ(pid).split(b"\0"))
    # Of a name that is there twice, programs see the first.
    return {name: value for name, _, value in reversed([*pairs])}


def living() -> Iterator[Process]:
    """Yield every process that is not dead."""
    return (process for process in _born_since(0) if not process.is_dead)


def bearers(marks: Collection[str], since: int) -> Iterator[tuple[str, Process]]:
    """Yield every living process that was born since then and carries one of these marks."""
    for process in _born_since(since):
        if not process.is_dead and (marked := mark(process.pid)) in marks:
            yield marked, process


def _settled_environ(pid: int) -> bytes:
    try:
        for _ in range(EXEC_PATIENCE_MS):
            if environ := _environ(pid):
                return environ
            if not _is_between_programs(pid):
                # It may have been until just now.
                return _environ(pid)
            # The mark of its parent is gone and its own is not there yet, for some microseconds.
            time.sleep(0.001)
    except OSError:
        pass
    return b""


def _environ(pid: int) -> bytes:
    try:
        return _read(f"/proc/{pid}/environ", ENVIRON_BYTES)
    except PermissionError:
        return b""


def children() -> set[int] | None:
    """Give the pids of our own children; None where the kernel does not list them."""
    try:
        listed = _read(f"/proc/self/task/{os.getpid()}/children", 1024 * 1024)
    except FileNotFoundError:
        return None
    return {int(pid) for pid in listed.split()}


def _is_between_programs(pid: int) -> bool:
    """Tell whether a process has left one program and not entered the next, which has no words."""
    process = find(pid)
    try:
        return process is not None and process.has_memory and not _read(f"/proc/{pid}/cmdline", 1)
    except OSError:
        return False


def _born_since(at: int) -> Iterator[Process]:
    """Yield every process that was born at this time or later."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = find(int(name))
            if process is not None and process.born >= at // NANOS_PER_TICK:
                yield process


def _was_in_session(run: Run, process: Process) -> bool:
    """Tell whether a process of the main one's session was born while that one surely lived.

    The dead count too: they hold the session's number as long as they are not reaped.
    """
    return run.born is not None and run.born <= process.born <= run.seen // NANOS_PER_TICK


def _read(path: str, limit: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while len(text) < limit and (chunk := os.read(fd, min(limit, CHUNK_BYTES))):
            text += chunk
        return text
    finally:
        os.close(fd)
