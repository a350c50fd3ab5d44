"""Bring a daemon back that died without having said goodbye.

At hello a daemon says how it is started again, or that somebody else sees to it (a unit, a person
at a terminal): {"argv", "env", "log", "lock"}. The daemon's own lock, an abstract socket, decides
who wins where several start one: while it is held nothing is started, and whoever comes too late
ends by itself.

Pauses double while daemons end by their own doing, before they say hello or soon after. One that
served and was killed is back after the first pause, however often that happens: each time somebody
else did it, and a pause would only leave services unsupervised.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import time

from reconciler.failpoints import failpoint
from reconciler.holder import fate, tree

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.holder.journal import Journal
    from reconciler.holder.log import Log
    from reconciler.holder.spawn import Standing
    from reconciler.holder.wire import Message

FIRST_S = 0.2
LONGEST_S = 5.0
STEADY_S = 5.0
"""A daemon that lasted so long is brought back quickly again."""
LOOK_S = 0.5
"""Between two looks at a lock that somebody holds who does not say hello."""
ABSENCE_S = 10.0
"""What a daemon that replaces itself in place may take before it is missed."""
LAST_WORDS_BYTES = 400
RESET_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Revival:
    """Knows whether the daemon is to be brought back, and when."""

    def __init__(
        self,
        journal: Journal,
        log: Log,
        standing: Standing,
        apart: dict[int, Callable[[os.waitid_result], None]],
    ) -> None:
        self._journal = journal
        self._log = log
        self._standing = standing
        self._apart = apart
        """Children that are no run, and what to do when one of them has ended."""
        self._due: float | None = None
        self._next_s = FIRST_S
        self._met_at = self._lost_at = 0.0
        self._child = 0
        """The daemon that we started, 0 for another one."""
        self._has_met_child = False
        self._last: tuple[int, int, int] | None = None
        """Pidfd, pid and birth tick of the daemon that said hello last."""
        self._ending = ""
        self._was_killed = False
        """Whether it said hello and somebody else ended it."""

    def resume(self, children: list[int], daemon: int) -> None:
        """Go on in the place of a program that was replaced, whose daemon is there yet."""
        self._hold_on_to(daemon)
        plan = self._journal.ledger.daemon
        self._met_at = time.monotonic()
        for pid in children:
            self._child, self._has_met_child = pid, True
            if plan is not None:
                self._apart[pid] = functools.partial(self._child_ended, plan)

    # --- what the daemon does ---

    def begin(self) -> None:
        """Miss a daemon that a former holder knew of, unless it says hello soon."""
        self._miss(FIRST_S)

    def met(self, pid: int, plan: Message | None) -> Message:
        """Take in who says hello, and give what it should know about its coming."""
        self._due, self._met_at, self._was_killed = None, time.monotonic(), False
        if plan != self._journal.ledger.daemon:
            self._journal.record({"is": "daemon", "plan": plan})
        self._hold_on_to(pid)
        if not self._child or pid != self._child:
            self._child, self._next_s = 0, FIRST_S
            return {}
        is_first, self._has_met_child = not self._has_met_child, True
        return {"revived": self._ending} if is_first else {}

    def farewell(self, *, returns: bool) -> None:
        """Let the daemon go: for good, or to come back by itself in a moment."""
        if returns:
            self._met_at = 0.0
            self._miss(ABSENCE_S)
        elif self._journal.ledger.daemon is not None:
            self._journal.record({"is": "daemon", "plan": None})

    def lost(self) -> None:
        """Miss the daemon: its connection ended."""
        if self._due is not None:
            return
        if time.monotonic() - self._met_at >= STEADY_S:
            self._next_s = FIRST_S
        # How it ended shows a moment after its connection does.
        self._lost_at = time.monotonic()
        self._miss(FIRST_S)

    # --- what comes of it ---

    def expects(self, *, has_daemon: bool) -> bool:
        """Tell whether a daemon that does not answer now is there again soon, as far as we know.

        One whose connection has not ended yet may be dead all the same: it would be missed.
        """
        if self._journal.ledger.daemon is None:
            return False
        return has_daemon or self._due is not None or bool(self._child and not self._has_met_child)

    def pause(self) -> float | None:
        """Give the seconds until `act` is due; None while it is not."""
        return None if self._due is None else max(0.0, self._due - time.monotonic())

    def act(self) -> None:
        """Start the daemon if it is missed for long enough and nobody else has done so."""
        plan = self._journal.ledger.daemon
        if self._due is None or time.monotonic() < self._due:
            return
        self._due = None
        if plan is None:
            return
        if _is_held(plan["lock"]):
            self._miss(LOOK_S)
            return
        self._learn_how_it_ended()
        if self._was_killed:
            self._next_s = FIRST_S
        left_s = self._lost_at + self._next_s - time.monotonic()
        if left_s > 0:
            self._miss(left_s)
            return
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_S)
        try:
            self._start(plan)
        except (OSError, ValueError, TypeError) as error:
            self._log.write(f"cannot bring the daemon back: {error}; again in {self._next_s} s")
            self._give_up_for_now()
        else:
            told = f"the daemon {self._ending} and said no goodbye"
            self._log.write(f"{told}; after {pause_s} s it was started again, pid {self._child}")

    def _miss(self, seconds: float) -> None:
        if self._journal.ledger.daemon is not None:
            self._due = time.monotonic() + seconds

    def _start(self, plan: Message) -> None:
        """Start it in a session of its own, outside of all runs, with nothing of ours."""
        log = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, plan["log"], log, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        failpoint("holder.revive.before")
        self._standing.waive()
        try:
            pid = os.posix_spawn(
                plan["argv"][0],
                plan["argv"],
                plan["env"],
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=RESET_SIGNALS,
            )
        finally:
            self._standing.claim()
        failpoint("holder.revive.after")
        self._child, self._has_met_child = pid, False
        self._apart[pid] = functools.partial(self._child_ended, plan)

    def _child_ended(self, plan: Message, status: os.waitid_result) -> None:
        is_ours = status.si_pid == self._child
        self._note(fate.collected(status), has_served=is_ours and self._has_met_child)
        self._let_go()
        if self._has_met_child or not is_ours:
            return
        self._child = 0
        said = _last_words(plan["log"])
        text = f"daemon {status.si_pid} {self._ending} before it said hello: {said}"
        self._log.write(f"{text}; again in {self._next_s} s")
        self._give_up_for_now()

    def _give_up_for_now(self) -> None:
        self._lost_at = time.monotonic()
        self._miss(self._next_s)

    def _learn_how_it_ended(self) -> None:
        if self._last is not None:
            self._note(fate.ending(*self._last), has_served=True)
            self._let_go()
        elif not self._ending:
            self._ending = fate.sentence(None)

    def _note(self, end: fate.Ending | None, *, has_served: bool) -> None:
        self._ending = fate.sentence(end)
        self._was_killed = has_served and end is not None and end.signal == signal.SIGKILL

    def _hold_on_to(self, pid: int) -> None:
        """Keep the daemon's pidfd, since it need not be our child."""
        self._let_go()
        with contextlib.suppress(OSError):
            process = tree.find(pid)
            pidfd = None if process is None else tree.pin(pid, process.born)
            if process is not None and pidfd is not None:
                self._last = (pidfd, pid, process.born)

    def _let_go(self) -> None:
        if self._last is not None:
            os.close(self._last[0])
            self._last = None


def _is_held(lock: str) -> bool:
    """Tell whether somebody listens on an abstract socket, which only a daemon does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as asker:
        asker.setblocking(False)
        try:
            asker.connect(f"\0{lock}")
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def _last_words(path: str) -> str:
    """Give the last line of the daemon's log, in which it says why it could not go on."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), f"see {path}")
