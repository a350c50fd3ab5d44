"""See every main process end, whatever has become of the holder.

One descriptor a process is all it costs: the pidfds wait in an epoll of their own, which is one
reader of the loop.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable, Collection

from reconciler.adapters.native.translate import signal_name
from reconciler.holder import fate
from reconciler.model.observed import Exit, Process, ProcessId
from reconciler.model.units import Nanos, RunId

BURST = 64
"""Ends taken in one go, before the rest of the daemon has its turn."""


class Witness:
    """Holds on to main processes by pidfd, and knows how those ended that did."""

    def __init__(self, saw: Callable[[RunId], None]) -> None:
        self._saw = saw
        """Told of each end that is seen."""
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._fds: dict[RunId, int] = {}
        self._watched: dict[int, tuple[RunId, ProcessId]] = {}
        self._exits: dict[RunId, Exit] = {}
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def watch(self, process: Process) -> None:
        """Hold on to a process, if it is exactly this one and lives."""
        pid, born, run = process.id.pid, process.id.born, process.run
        if not pid or process.exit is not None or run in self._fds or run in self._exits:
            return
        try:
            pidfd = fate.pin(pid, born)
        except OSError:
            return  # no descriptor is left: the holder's word has to do
        if pidfd is not None:
            self._epoll.register(pidfd, select.EPOLLIN)
            self._fds[run], self._watched[pidfd] = pidfd, (run, process.id)

    def move(self, process: Process) -> None:
        """Hold on to the process that has taken the place of a run's main one."""
        if (pidfd := self._fds.get(process.run)) is not None:
            self._let_go(pidfd)
        self._exits.pop(process.run, None)
        self.watch(process)

    def exit_of(self, run: RunId) -> Exit | None:
        """Give how a run's main process ended; None while it lives, and where it was not seen."""
        pidfd = self._fds.get(run)
        if pidfd is not None and _is_over(pidfd):
            self._note(pidfd)
        return self._exits.get(run)

    def keep(self, runs: Collection[RunId]) -> None:
        """Forget all runs but these."""
        for run in self._fds.keys() - runs:
            self._let_go(self._fds[run])
        self._exits = {run: end for run, end in self._exits.items() if run in runs}

    def close(self) -> None:
        """Hold on to nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self.keep(())
        self._epoll.close()

    def _look(self) -> None:
        for pidfd, _ in self._epoll.poll(0, BURST):
            self._saw(self._note(pidfd))

    def _note(self, pidfd: int) -> RunId:
        run, who = self._watched[pidfd]
        end, at = fate.ending(pidfd, who.pid, who.born), _now()
        self._exits[run] = Exit(at=at, unknown=True) if end is None else _exit(end, at)
        self._let_go(pidfd)
        return run

    def _let_go(self, pidfd: int) -> None:
        run, _ = self._watched.pop(pidfd)
        del self._fds[run]
        self._epoll.unregister(pidfd)
        os.close(pidfd)


def _exit(end: fate.Ending, at: Nanos) -> Exit:
    name = None if end.signal is None else signal_name(end.signal)
    return Exit(at=at, code=end.code, signal=name, core=end.core)


def _is_over(pidfd: int) -> bool:
    """Ask at once, by poll: select knows no descriptor above 1023."""
    asked = select.poll()
    asked.register(pidfd, select.POLLIN)
    return bool(asked.poll(0))


def _now() -> Nanos:
    return Nanos(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
