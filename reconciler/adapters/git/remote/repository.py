"""The repository that is followed, as the runtime knows it: changes of it are pushed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from reconciler.adapters.git import locks, wire
from reconciler.adapters.git.reading import Reading
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.pushing import PushRacedError
from reconciler.adapters.git.writer import Writer
from reconciler.ports import (
    Author,
    BlockedError,
    CommitRequest,
    Committed,
    ConflictError,
    HostError,
    WeaverError,
)

TRIES = 10
TOGETHER_S = 60.0
"""For all tries of one change; the push that it ends with is not cut off."""
SHORTEST_PAUSE_S = 0.05
FIRST_PAUSE_S = 0.35
"""At most so much more before the second try; each further one waits up to half as long again."""
LONGEST_PAUSE_S = 5.0
GROWTH = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What binds writing to following."""

    look: Callable[[], Awaitable[None]]
    """Looks at the other side, and follows it where nothing is against it."""
    adopt: Callable[[str], Awaitable[None]]
    """Follows a commit that was pushed, without a look."""
    held: Callable[[], str]
    """Says why the branch is not followed; empty where it is."""
    luck: Callable[[], float]
    sign: Callable[[], str] = str
    """Names the SSH key that commits are signed with; empty: none."""


Question = Callable[[str], bytes]
"""Asks for a commit; given one, it is to replace no field that was changed since then."""


class FollowedRepository(Reading):
    """Implements `Repository` by a mirror. One change at a time is made to what is followed.

    On a lost race it is made anew, as intents, to what is there then: nothing is merged.
    """

    def __init__(self, mirror: Mirror, home: str, ties: Ties) -> None:
        super().__init__(lambda: mirror.repo)
        self._mirror = mirror
        self._home = home
        self._ties = ties
        self._turn = asyncio.Lock()
        self._writer = Writer(lambda: locks.sweep_in(mirror.repo.git_dir))

    async def commit(self, request: CommitRequest) -> Committed:
        """Make the change, push it, and follow it. Raises WeaverError with the mend."""
        if request.branch:
            raise BlockedError(
                f"cannot commit to {request.branch}: what is followed is elsewhere",
                mend=f"make the change in a clone of {self._mirror.address}, and push it there",
            )
        place, folder = str(self._mirror.repo.git_dir), self._mirror.repo.folder
        sign = self._ties.sign()

        def question(since: str) -> bytes:
            return wire.commit_question(place, request, folder, sign, since)

        return await self._land(question, request.op_id, request.if_revision)

    async def undo(self, author: Author, op_id: str, *, auto_commit: bool = True) -> Committed:
        """Revert the last commit that this person made through Weaver."""
        place, folder = str(self._mirror.repo.git_dir), self._mirror.repo.folder
        question = wire.undo_question(
            *(place, author, op_id),
            auto_commit=auto_commit,
            folder=folder,
            sign=self._ties.sign(),
        )
        return await self._land(lambda _: question, op_id, "")

    async def landed(self, op_id: str, since: str) -> str:
        """Give the commit of an operation, after a look at the other side. Raises HostError."""
        await self._ties.look()
        if held := self._ties.held():
            raise HostError(f"cannot see whether it was pushed: {held}", mend="it is tried again")
        return await super().landed(op_id, since)

    async def close(self) -> None:
        """Let what is being written finish, and end the worker."""
        await self._writer.close()

    async def _land(self, question: Question, op_id: str, if_revision: str) -> Committed:
        async with self._turn:
            try:
                return await self._tries(question, op_id, if_revision)
            except TimeoutError:
                raise _raced("time is up") from None

    async def _tries(self, question: Question, op_id: str, if_revision: str) -> Committed:
        words, pause, first = "", FIRST_PAUSE_S, self._mirror.verified()
        until = asyncio.get_running_loop().time() + TOGETHER_S
        for attempt in range(TRIES):
            async with asyncio.timeout_at(until):
                # Who compares with a revision must not be told of an old one.
                await self._prepare(is_newest=not attempt and not if_revision)
                if attempt and (found := await super().landed(_first(op_id), first)):
                    # What an earlier daemon was pushing as it died came after our first look.
                    return _pushed(Committed(commit=found, changed=True), self._mirror)
                # What is made anew replaces nothing that somebody else wrote meanwhile.
                built = await self._writer.ask(question(first if attempt else ""))
            if not built.changed:
                return built
            try:
                # A push has a deadline of its own: what is under way may have been taken already.
                await self._push(built.commit, op_id, first)
            except PushRacedError as lost:
                words = str(lost)
                await asyncio.sleep(SHORTEST_PAUSE_S + pause * self._ties.luck())
                pause = min(pause * GROWTH, LONGEST_PAUSE_S)
                continue
            await self._ties.adopt(built.commit)
            return _pushed(built, self._mirror)
        raise _raced(words)

    async def _prepare(self, *, is_newest: bool) -> None:
        if not is_newest:
            await self._ties.look()
        if held := self._ties.held():
            raise BlockedError(f"cannot commit: {held}")

    async def _push(self, commit: str, op_id: str, first: str) -> None:
        """Push a commit. Where no answer came, the other side is asked whether it has it."""
        try:
            await asyncio.to_thread(self._mirror.push, commit, self._home)
        except HostError:
            with suppress(WeaverError):
                if await self.landed(_first(op_id), first) == commit:
                    return
            raise


def _pushed(built: Committed, mirror: Mirror) -> Committed:
    note = f"pushed to {mirror.address}"
    return replace(built, pushed=True, notes=(*built.notes, note))


def _first(op_id: str) -> str:
    """Give one operation of a commit, which may be several."""
    return op_id.partition(", ")[0]


def _raced(words: str) -> ConflictError:
    return ConflictError(
        f"cannot commit: others were faster {TRIES} times ({words})", mend="try again"
    )
