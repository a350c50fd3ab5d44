"""What /proc says about processes: never what a manager says about itself."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from benchmarks.sample import Runs, Sample

PROC = Path("/proc")
POLL_S = 0.002
COUNT_POLL_S = 0.005

T = TypeVar("T")


class NeverCameError(Exception):
    """Something that was waited for did not happen in time."""


def until(condition: Callable[[], T], seconds: float, what: str, poll_s: float = POLL_S) -> T:
    """Wait until `condition()` is truthy and give its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise NeverCameError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(poll_s)
    return value


class Census:
    """Finds services: processes that were executed with the words TAG NUMBER.

    A manager that has the tag inside a script or a path is not counted, nor is a child that has
    not yet executed what it is for.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag.encode()
        self._found: dict[int, int] = {}
        self._first_seen: dict[int, float] = {}

    def fresh(self) -> dict[int, int]:
        """Read all of /proc anew: the services' numbers by pid."""
        self._found.clear()
        self._first_seen.clear()
        return dict(self.grown())

    def grown(self) -> dict[int, int]:
        """Add the services that came since the last call; for counting up only.

        A process that has been something else for a second stays that, and is not read again.
        """
        now = time.monotonic()
        for pid in all_pids():
            if pid in self._found or now - self._first_seen.setdefault(pid, now) > 1:
                continue
            words = command_line(pid).split(b"\0")
            if self._tag in words[1:-2]:
                self._found[pid] = int(words[words.index(self._tag, 1) + 1])
        return self._found

    def programs(self) -> list[bytes]:
        """Give the first word of each service's command line as it is now."""
        return [command_line(pid).split(b"\0")[0] for pid in self.fresh()]

    def until_there(self, number: int, seconds: float) -> float:
        """Wait until so many services run, and give the time on the clock then."""
        deadline = time.monotonic() + seconds
        last_fresh = time.monotonic()
        while len(self.grown()) < number:
            time.sleep(COUNT_POLL_S)
            now = time.monotonic()
            if now - last_fresh > 2:
                last_fresh = now
                self.fresh()
            if now > deadline:
                raise NeverCameError(
                    f"{len(self.fresh())} of {number} services ran after {seconds:g} s"
                )
        return time.perf_counter()


def all_pids() -> list[int]:
    """List every process of this machine."""
    with os.scandir(PROC) as entries:
        return [int(entry.name) for entry in entries if entry.name.isdigit()]


def command_line(pid: int) -> bytes:
    """Give a process's arguments, NUL after each; nothing of one that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    return bool(command_line(pid))


def folder_of(pid: int) -> Path:
    """Give the folder that a process is in; none for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return Path()


def children(pid: int) -> list[int]:
    """List the children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def pss_bytes(pids: Iterable[int]) -> int:
    """Add up the proportional set sizes: shared pages count once in all."""
    return sum(_pss(pid) for pid in pids)


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise NeverCameError(f"cannot read the memory of {pid}: its smaps_rollup names no Pss")


def open_files(pid: int) -> int:
    """Count the descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu_time_s(pids: Iterable[int]) -> float:
    """Add up user and system time, to a nanosecond where the kernel tells."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    """Sum over threads: /proc/PID/stat counts in ticks of 10 ms, schedstat in nanoseconds."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def ended_children_s(pids: Iterable[int]) -> float:
    """Add up the CPU time of what processes started and waited for, to 10 ms."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        # The name in parentheses may hold anything, so count fields from its end.
        ticks += sum(map(int, stat[stat.rindex(b")") :].split()[14:16]))
    return ticks / os.sysconf("SC_CLK_TCK")


def run_once(*command: str) -> tuple[float, float]:
    """Run a command to its end, its output thrown away: wall time and CPU time."""
    nothing = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[nothing])
    _, status, usage = os.wait4(pid, 0)
    took = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise NeverCameError(f"cannot measure {' '.join(command)}: it failed")
    return took, usage.ru_utime + usage.ru_stime


def compare(commands: dict[str, tuple[str, ...]], repetitions: int) -> dict[str, Runs]:
    """Run several commands in turn, so that what disturbs the machine disturbs all alike."""
    for command in commands.values():
        run_once(*command)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(repetitions):
        for name, command in commands.items():
            taken[name].append(run_once(*command))
    return {
        name: Runs(Sample(tuple(wall for wall, _ in runs)), Sample(tuple(cpu for _, cpu in runs)))
        for name, runs in taken.items()
    }


def leave_in_order() -> None:
    """Have SIGTERM and SIGHUP end this program as Ctrl-C does: not before it has cleared away."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def end(pids: Iterable[int]) -> None:
    """Kill processes that a benchmark started, and see them gone."""
    condemned = [pid for pid in pids if is_alive(pid)]
    for pid in condemned:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    until(lambda: not any(map(is_alive, condemned)), 10, "killed processes to go")
