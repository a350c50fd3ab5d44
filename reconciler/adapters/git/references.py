"""Move a branch by compare-and-set, in two steps: lock and check first, publish last.

Between the two steps the branch is locked by a git child that knows what it may change. If we die
there, the child's input ends and it gives the lock back: nothing has moved.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Self

from reconciler.adapters.git import message, plumbing
from reconciler.adapters.git.checkout import Checkout
from reconciler.failpoints import failpoint
from reconciler.ports import HostError

_SIGNS_OF_OTHERS = ("but expected", "already exists", "File exists")
"""What git says, in the C locale, where somebody else moved the branch or holds its lock."""


class BranchMovedError(Exception):
    """Somebody else moved or holds the branch; the text is git's."""


class Move:
    """One move of a branch, from the commit it must be at to another."""

    def __init__(self, checkout: Checkout, note: str) -> None:
        committer = {
            "GIT_COMMITTER_NAME": message.COMMITTER_NAME,
            "GIT_COMMITTER_EMAIL": message.COMMITTER_EMAIL,
        }
        plumbing.require_git()
        self._child = plumbing.start(
            plumbing.environment(checkout) | committer,
            ("update-ref", "-m", note, "-z", "--stdin"),
            cwd=str(checkout.top),
        )
        self._stdin, self._stdout, self._stderr = plumbing.pipes(self._child)
        self._watchdog = threading.Timer(plumbing.DEADLINE_S, plumbing.kill, (self._child,))
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self._watchdog.cancel()
        plumbing.end(self._child)

    def prepare(self, branch: str, new: str, old: str) -> None:
        """Lock the branch and check that it is at `old` (empty: that it does not exist)."""
        expected = old or "0" * len(new)
        self._say(f"start\0update refs/heads/{branch}\0{new}\0{expected}\0prepare\0")
        if self._answer() != "start: ok" or self._answer() != "prepare: ok":
            words = self._last_words()
            if any(sign in words for sign in _SIGNS_OF_OTHERS):
                raise BranchMovedError(words)
            raise HostError(f"cannot move {branch}: {words}")

    def commit(self) -> None:
        """Publish. Raises HostError where git could not write it."""
        failpoint("git.ref.before")
        self._say("commit\0")
        failpoint("git.ref.told")
        if self._answer() != "commit: ok":
            raise HostError(f"cannot move the branch: {self._last_words()}")
        failpoint("git.ref.moved")

    def hang_up(self) -> None:
        """End the conversation: git drops what was not committed, and its locks."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._child.wait()

    def _say(self, text: str) -> None:
        with suppress(BrokenPipeError):
            self._stdin.write(text.encode(errors="surrogateescape"))
            self._stdin.flush()

    def _answer(self) -> str:
        """Read one line; empty where git has ended, at the latest by the watchdog."""
        return self._stdout.readline().decode(errors="replace").rstrip("\n")

    def _last_words(self) -> str:
        self.hang_up()
        complaint = self._stderr.read().decode(errors="replace")
        return plumbing.words_of(complaint, self._child.wait())
