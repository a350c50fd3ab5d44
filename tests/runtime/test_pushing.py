"""When a checkout is pushed, and what is said meanwhile: with a side that can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from functools import wraps
from typing import ParamSpec

import pytest

from reconciler.core.heads import Relation
from reconciler.core.pushes import Compared, PushHeld, PushHold, Target
from reconciler.manifest.config import Config
from reconciler.model.event import Happening
from reconciler.ports import (
    ConflictError,
    EventRecord,
    ForbiddenError,
    HostError,
    ManifestError,
    WeaverError,
)
from reconciler.ports.outbox import Waiting
from reconciler.runtime import pushing
from reconciler.runtime.journal import Listener
from reconciler.runtime.pushing import Hands, Pushing
from reconciler.runtime.settings import Settings
from tests.waiting import until_async

P = ParamSpec("P")
MAIN = Target(local="main", remote="origin", branch="main")


class Side:
    """A checkout and the other side, both lists of commits. Implements `Outbox`."""

    def __init__(self) -> None:
        self.here = ["a1"]
        self.there = ["a1"]
        self.fault: WeaverError | None = None
        self.nowhere: PushHeld | None = None
        self.asked = 0
        self.settings = Settings()
        self.settings.take(Config(push=True))
        self.listeners: list[Listener] = []
        self.noted: list[Happening] = []
        self.luck = 0.5

    def mark(self) -> Hashable:
        return tuple(self.here)

    async def waiting(self) -> Waiting:
        if self.nowhere is not None:
            return Waiting(head=self.here[-1], held=self.nowhere)
        return Waiting(head=self.here[-1], target=MAIN, ours=len({*self.here} - {*self.there}))

    async def compare(self, waiting: Waiting, target: Target) -> Compared:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        is_newer = self.here[: len(self.there)] == self.there
        return Compared(
            target=target,
            head=waiting.head,
            there=self.there[-1],
            relation=Relation.AHEAD if is_newer else Relation.REWRITTEN,
            ours=len({*self.here} - {*self.there}),
        )

    async def push(self, found: Compared) -> None:
        assert found.relation is Relation.AHEAD
        self.there = self.here[: self.here.index(found.head) + 1]

    def close(self) -> None:
        raise NotImplementedError

    def commit(self, name: str) -> None:
        """Commit as a command does."""
        self.here.append(name)
        event = EventRecord(
            seq=1,
            time=0.0,
            kind="git.committed",
            service="",
            instance="",
            reason="",
            revision="",
            actor="",
        )
        for listener in self.listeners:
            listener.hear([event])

    async def note(self, happening: Happening) -> None:
        self.noted.append(happening)

    def listen(self) -> Listener:
        listener = Listener(self.listeners)
        self.listeners.append(listener)
        return listener

    def kinds(self) -> list[str]:
        return [happening.kind for happening in self.noted]


@asynccontextmanager
async def pushed(side: Side) -> AsyncIterator[Pushing]:
    hands = Hands(listen=side.listen, note=side.note, luck=lambda: side.luck)
    made = Pushing(side, side.settings, hands)
    task = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(10):
            yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def played(scene: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Run a scene in a loop of its own."""

    @wraps(scene)
    def play(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(scene(*arguments, **named))

    return play


@played
async def test_what_an_earlier_daemon_left_is_pushed_and_then_each_commit() -> None:
    side = Side()
    side.here.append("b2")
    async with pushed(side) as made:
        await until_async(lambda: side.there == ["a1", "b2"])
        await until_async(lambda: side.listeners)
        side.commit("c3")
        await until_async(lambda: side.there[-1] == "c3")
        await until_async(lambda: len(side.noted) == 2)
        assert side.kinds() == ["git.pushed", "git.pushed"]
        assert side.noted[1].reason == "a commit of weaver's came to main of origin"
        assert side.noted[1].data == {"commit": "c3", "before": "b2"}
        assert (made.trouble, made.standing.waiting) == ("", 0)


@played
async def test_nobody_is_asked_while_nothing_waits_or_it_is_not_wanted() -> None:
    side = Side()
    side.settings.take(Config())
    async with pushed(side) as made:
        await until_async(lambda: side.listeners)
        side.commit("b2")
        await asyncio.sleep(0)
        assert (side.asked, made.facts()) == (0, None)
        side.settings.take(Config(push=True))
        await until_async(lambda: side.there[-1] == "b2")
        assert side.asked == 1
        facts = made.facts()
        assert facts is not None
        assert (facts.remote, facts.branch, facts.waiting, facts.reason) == (
            "origin",
            "main",
            0,
            "",
        )


@played
async def test_a_side_that_is_down_is_told_once_and_asked_again_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushing, "FIRST_PAUSE", 1_000_000)
    side = Side()
    side.fault = HostError("cannot reach origin: no route", mend="it is tried again")
    side.here.append("b2")
    async with pushed(side) as made:
        await until_async(lambda: side.asked > 3)
        assert side.kinds() == ["git.unpushed"]
        assert made.trouble == (
            "a commit waits to be pushed: cannot reach origin: no route; mend: it is tried again"
        )
        side.fault = None
        await until_async(lambda: made.trouble == "" and side.there[-1] == "b2")
        assert side.kinds() == ["git.unpushed", "git.pushed"]


@played
async def test_who_moves_the_branch_here_is_not_kept_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pushing, "MARK_S", 0.01)
    side = Side()
    side.here.append("b2")
    side.there.append("x9")
    async with pushed(side) as made:
        await until_async(lambda: made.trouble)
        facts = made.facts()
        assert facts is not None
        assert (facts.waiting, facts.reason_code) == (1, "RemoteMoved")
        assert made.trouble == (
            "a commit waits to be pushed: main of origin has commits that are not here; "
            "mend: git pull --rebase origin main"
        )
        side.here = ["a1", "x9", "b3"]
        await until_async(lambda: side.there[-1] == "b3")
        await until_async(lambda: not made.trouble)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(HostError("down"), PushHold.UNREACHABLE, id="down"),
        pytest.param(ForbiddenError("protected"), PushHold.REFUSED, id="refused"),
        pytest.param(ConflictError("raced"), PushHold.REMOTE_MOVED, id="raced"),
        pytest.param(ManifestError("ext::"), PushHold.NO_REMOTE, id="no address"),
    ],
)
@played
async def test_each_fault_has_a_code(fault: WeaverError, code: PushHold) -> None:
    side = Side()
    side.fault = fault
    side.here.append("b2")
    hands = Hands(listen=side.listen, note=side.note, luck=lambda: 0.5)
    made = Pushing(side, side.settings, hands)
    await made.once()
    assert made.standing.held
    assert made.standing.held.code is code
    assert made.standing.looks.failures == 1


@played
async def test_a_defect_of_ours_is_said_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    side = Side()
    side.nowhere = PushHeld(code=PushHold.NO_REMOTE, because="this repository has no remote")
    hands = Hands(listen=side.listen, note=side.note, luck=lambda: 0.5)
    made = Pushing(side, side.settings, hands)
    await made.once()
    assert made.trouble == "git.push cannot work: this repository has no remote"
    side.nowhere, side.here = None, []
    await made.once()
    assert "cannot push: IndexError" in made.trouble
    assert "IndexError" in caplog.text
