"""Make a failing history short: Hypothesis decides which of its deeds can be left out."""

from __future__ import annotations

import re
from contextlib import suppress

import hypothesis
from hypothesis import strategies as st

from tests.sim.episode import BreachError, do, in_a_line
from tests.sim.kinds import Deed
from tests.sim.world import World

TRIES = 3_000
KEPT = 1_000
"""One of so many deeds is left out where Hypothesis has no opinion; 0 leaves it out for good."""


class StillBrokenError(Exception):
    """A shorter history breaks the same rule."""


def shortest(breach: BreachError, tries: int = TRIES) -> tuple[list[Deed], str]:
    """Give the shortest history found that breaks the same rule, and how it ends."""
    whole, rule = breach.history, rule_of(str(breach))
    found = [(whole, str(breach))]

    @hypothesis.settings(
        max_examples=tries,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def breaks(data: st.DataObject) -> None:
        kept = [deed for deed in whole if data.draw(st.integers(0, KEPT), label="kept")]
        said = outcome(kept, breach.seed)
        if said is not None and rule_of(said) == rule:
            if len(kept) < len(found[-1][0]):
                found.append((kept, said))
            raise StillBrokenError

    with suppress(StillBrokenError):
        breaks()
    return found[-1]


def outcome(history: list[Deed], seed: int) -> str | None:
    """Do all that to a new world; give how it breaks a rule, or None."""
    world = World(seed=seed)
    try:
        for deed in history:
            do(world, deed)
    except Exception as why:  # noqa: BLE001 - a defect of the engine is a find as well
        return f"{world.told()}\n\n{in_a_line(why)}"
    return None


def rule_of(said: str) -> str:
    """Give the rule that was broken, whoever broke it."""
    last = said.strip().splitlines()[-1]
    return re.sub(r"run-\d+|\b[a-z]-\d+|\d+|'[^']*'|\b[a-g]\b", "*", last)
