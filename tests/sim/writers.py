"""People who change manifests at the same time, and a daemon that commits unasked, for a day.

Plays the pure parts of writing: which changes share a commit, and what is committed though nobody
asked. The rules are stated anew here, from who waited and what was committed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from reconciler.core.batching import Batch
from reconciler.core.unasked import Made, Wish, why_held
from tests.sim.luck import Luck

HOUR_S = 3600
CHANGES = 12
WISHES = 100
NAMES = ("api", "db", "web", "cron", "mail")


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that somebody asks for."""

    number: int
    author: str
    services: frozenset[str]

    def concerns(self, other: Asked) -> bool:
        """Tell whether one of both has to wait for the other."""
        return self.author == other.author and bool(self.services & other.services)


def write_for_a_day(seed: int) -> None:
    """Play one day. Raises AssertionError, in words, where a rule is broken."""
    luck = Luck(f"writers {seed}")
    _write_together(luck.of("together"))
    _write_unasked(luck.of("unasked"))


def _write_together(luck: Luck) -> None:
    coming = deque(
        Asked(number, luck.choice(("ada", "bob")), frozenset(luck.some(NAMES, luck.randint(1, 2))))
        for number in range(CHANGES)
    )
    waiting: list[Asked] = []
    landed: list[Asked] = []
    while coming or waiting:
        arrive = min(len(coming), luck.randint(0 if waiting else 1, 6))
        waiting += [coming.popleft() for _ in range(arrive)]
        commit = _take(waiting)
        _look_at(commit, waiting)
        landed += commit
    _look_back(landed)


def _take(waiting: list[Asked]) -> list[Asked]:
    """Take those out of who waits that share the next commit."""
    taken = [waiting.pop(0)]
    batch = Batch(author=taken[0].author).having(taken[0].services)
    for one in list(waiting):
        if batch.takes(one.author, one.services):
            waiting.remove(one)
            taken.append(one)
            batch = batch.having(one.services)
        elif one.author == batch.author:
            batch = batch.passing(one.services)
    return taken


def _look_at(commit: list[Asked], waiting: list[Asked]) -> None:
    """See that a commit is of one person, of different services, and left nobody for nothing."""
    assert len({one.author for one in commit}) == 1, "a commit has changes of two people"
    names = [name for one in commit for name in one.services]
    assert len(set(names)) == len(names), "two changes of one service share a commit"
    for place, one in enumerate(waiting):
        if one.author == commit[0].author:
            before = [*commit, *waiting[:place]]
            stands = any(one.concerns(other) for other in before)
            assert stands, f"change {one.number} waits for nobody, and is not in the commit"


def _look_back(landed: list[Asked]) -> None:
    """See that all have landed, once, and those of one service in their order."""
    assert sorted(one.number for one in landed) == list(range(CHANGES)), "a change was lost"
    for place, one in enumerate(landed):
        for later in landed[place:]:
            is_overtaken = one.concerns(later) and later.number < one.number
            assert not is_overtaken, f"change {one.number} overtook {later.number}"


def _write_unasked(luck: Luck) -> None:
    made: list[Made] = []
    at = 1_000_000.0
    busy = luck.choice((60.0, 300.0, 1500.0))
    names = NAMES if luck.randrange(2) else tuple(f"s{number}" for number in range(40))
    for number in range(WISHES):
        at += luck.random() * busy
        name = luck.choice(names)
        own = [one for one in made if name in one.services]
        is_quarrel = bool(own) and luck.randrange(3) == 0
        restores = own[-1].commit if is_quarrel else ""
        why = why_held(Wish(service=name, at=at, restores=restores), made)
        recent = [one for one in made if at - one.at < HOUR_S]
        mine = [one for one in own if at - one.at < HOUR_S]
        is_stuck = is_quarrel and own[-1] in mine and len(mine) > 1
        is_much = len(mine) > 5 or len(recent) > 59
        assert not (is_much and not why), "an hour has more unasked commits than it may have"
        assert not (is_stuck and not why), "a quarrel goes on after the second time"
        assert is_much or is_stuck or not why, f"held for nothing: {why}"
        if not why:
            one = Made(commit=f"{number:08x}", at=at, services=frozenset({name}))
            made.append(one)
