"""A branch on the other side, and what is kept of it here; both can be out of order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reconciler.adapters.git.remote.pushing import PushRacedError
from reconciler.core.heads import Relation, Step
from reconciler.core.trust import Keys, Signature
from reconciler.ports import HostError

PATIENCE_S = 20.0
"""How long git waits for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit, by whom nobody knows but for its signature."""

    parent: str
    past: frozenset[str]
    """All that it descends from."""
    is_signed: bool
    asked: tuple[str, ...] = ()
    """What people asked Weaver for that is in it."""


@dataclass(slots=True)
class Branch:
    """The other side. Implements `Upstream`, and what a mirror is to those who push."""

    watch: Callable[[str, str], None]
    """Told of every commit that is followed from now on, with the one before."""
    watch_look: Callable[[bool], None]
    """Told of every look that is over, and whether it worked."""
    watch_break: Callable[[], None]
    """Told where a look fails behind its first answer."""
    commits: dict[str, Commit] = field(default_factory=dict)
    tip: str = ""
    """Empty while there is no branch."""
    verified: str = ""
    known: str = ""
    """What was fetched last; both are kept on our side, whichever daemon lives."""
    delay_s: float = 0.0
    is_down: bool = False
    says_old: str = ""
    """An older tip that it names, as a cache in between does."""
    taken: list[str] = field(default_factory=list)
    """Commits of ours that were taken."""
    forgets_answer: bool = False
    """Whether the line breaks behind the next push that is taken."""
    address: str = "https://git.example.org/deploy.git"
    branch: str = "main"

    def make(self, parent: str, *, is_signed: bool, asked: tuple[str, ...] = ()) -> str:
        """Make a commit, and give its name."""
        name = f"{len(self.commits) + 1:08x}" * 5
        past = self.past(parent)
        self.commits[name] = Commit(parent=parent, past=past, is_signed=is_signed, asked=asked)
        return name

    def past(self, commit: str) -> frozenset[str]:
        """Give a commit with all that it descends from."""
        return self.commits[commit].past | {commit} if commit else frozenset()

    # --- Upstream --------------------------------------------------------------------------

    async def open(self) -> str:
        return self.verified

    async def look(self) -> str:
        try:
            await self._answer()
        except HostError:
            self.watch_look(False)
            raise
        found = self.says_old or self.tip
        self.watch_look(True)
        return found

    async def fetch(self) -> str:
        await self._answer_on()
        found = self.says_old or self.tip
        if not found:
            self.watch_break()
            raise HostError("cannot fetch main: couldn't find remote ref")
        self.known = found
        return found

    async def fetched(self) -> str:
        return self.known

    async def compare(self, old: str, new: str) -> Step:
        if old in ("", new):
            relation = Relation.SAME if old else Relation.FIRST
        elif old in self.past(new):
            relation = Relation.AHEAD
        elif new in self.past(old):
            relation = Relation.BEHIND
        else:
            relation = Relation.REWRITTEN
        return Step(verified=old, fetched=new, relation=relation)

    async def signatures(
        self, old: str, new: str, keys: Keys, *, every: bool
    ) -> Sequence[Signature]:
        del keys
        names = sorted(self.past(new) - self.past(old)) if every and old else [new]
        return [
            Signature(commit=name, status=self._status(name), signer="", author="Ana")
            for name in names
        ]

    def _status(self, name: str) -> str:
        return "G" if self.commits[name].is_signed else "NBUE"[int(name[:8], 16) % 4]

    async def advance(self, new: str, old: str) -> None:
        if old != self.verified:
            raise HostError("cannot lock ref: is elsewhere")
        self.verified = new
        self.watch(new, old)

    async def others(self) -> Sequence[str]:
        await self._answer_on()
        return ["trunk"]

    async def _answer_on(self) -> None:
        try:
            await self._answer()
        except HostError:
            self.watch_break()
            raise

    async def _answer(self) -> None:
        await asyncio.sleep(min(self.delay_s, PATIENCE_S))
        if self.is_down or self.delay_s > PATIENCE_S:
            raise HostError("cannot reach git.example.org")

    # --- pushing ---------------------------------------------------------------------------

    def push(self, commit: str, home: str) -> None:
        """Take a commit of ours, forwards only."""
        del home
        if self.is_down or self.delay_s > PATIENCE_S:
            raise HostError("cannot reach git.example.org")
        if self.tip not in ("", *self.past(commit)):
            raise PushRacedError("non-fast-forward")
        self.tip = commit
        self.taken.append(commit)
        if self.forgets_answer:
            self.forgets_answer = False
            raise HostError("the remote end hung up unexpectedly")
