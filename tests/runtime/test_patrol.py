"""Who goes round sees what was done by hand, tells it while it lasts, and that it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from reconciler.model.event import Event
from reconciler.model.observed import ProcessId, State
from reconciler.model.plan import Situation
from reconciler.model.put_right import ProcessSeen
from reconciler.model.status import Condition
from reconciler.runtime import patrol
from reconciler.runtime.patrol import Patrol
from tests.core.building import name, service
from tests.core.situations import converged

FINE = Condition(is_halted=False, nice=0)
HALTED = Condition(is_halted=True, nice=0)
RENICED = Condition(is_halted=False, nice=7)
NICE, FREE = service("a", nice=0), service("b")
BOTH = converged(NICE, FREE)


class Round:
    """A patrol whose looks show one thing after another of every process, the last for ever."""

    def __init__(self, situation: Situation, *shown: Condition | None) -> None:
        self._shown = list(shown)
        self.asked: list[int] = []
        self.told: list[Event] = []
        self.patrol = Patrol(lambda: situation, self._look, self.told.append)

    def _look(self, targets: Iterable[ProcessId]) -> Mapping[ProcessId, Condition]:
        wanted = list(targets)
        self.asked.append(len(wanted))
        shown = self._shown.pop(0) if len(self._shown) > 1 else self._shown[0]
        return {} if shown is None else dict.fromkeys(wanted, shown)

    async def go(self) -> list[tuple[str, bool, int]]:
        self.told.clear()
        await self.patrol.once()
        seen = [event for event in self.told if isinstance(event, ProcessSeen)]
        return [(str(event.slot), event.is_halted, event.nice) for event in seen]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patrol, "MOMENT_S", 0.0)


def test_what_is_stopped_for_longer_than_a_moment_is_told_until_it_is_over() -> None:
    async def story() -> None:
        round_ = Round(BOTH, HALTED, HALTED, HALTED, HALTED, FINE)
        halted = [("a-0", True, 0), ("b-0", True, 0)]
        assert await round_.go() == halted
        assert await round_.go() == halted
        assert await round_.go() == [("a-0", False, 0), ("b-0", False, 0)]
        assert await round_.go() == []

    asyncio.run(story())


def test_what_goes_on_by_itself_is_left_alone() -> None:
    assert asyncio.run(Round(BOTH, HALTED, FINE).go()) == []


def test_a_nice_is_told_only_where_a_manifest_names_another() -> None:
    assert asyncio.run(Round(BOTH, RENICED).go()) == [("a-0", False, 7)]


def test_a_process_of_another_version_or_on_its_way_out_or_gone_is_left_alone() -> None:
    old = replace(BOTH.slots[name("a")][0])
    assert old.process is not None
    other = replace(old, process=replace(old.process, digest=FREE.digest))
    going = replace(old, state=State.STOPPING)
    for record in (other, going):
        situation = replace(BOTH, slots={name("a"): {0: record}})
        assert asyncio.run(Round(situation, RENICED).go()) == []
    assert asyncio.run(Round(BOTH, None).go()) == []


def test_the_rest_of_the_daemon_has_its_turn_between() -> None:
    many = converged(service("a", instances=250))
    round_ = Round(many, FINE)
    assert asyncio.run(round_.go()) == []
    assert round_.asked == [100, 100, 50]
