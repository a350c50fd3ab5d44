"""Plant one bug after another, and see that each is caught while the source itself passes.

Nothing of `reconciler` is imported here at once: in the process of a hunt that would be too early
to plant anything.
"""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.sim import mutants
from tests.sim.cores import processes

HUNT_CPU_S = 5.0
"""How long a planted bug may live, in seconds of the processor."""
HUNT_SEED = 31
SEEDS = Path(__file__).with_name("planted") / "seeds.json"
"""Which episode caught each planted bug; `mutants --rewrite` writes it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a planted bug."""

    name: str
    caught: bool
    seed: int
    number: int
    """Of the episode that caught it."""
    spent_s: float
    said: str


def hunt(name: str, limit_s: float) -> Verdict:
    """Play until a rule is broken, for as long as a planted bug may live. One in each process.

    The episode that caught it last time comes first; the code may have changed since, so others
    follow.
    """
    mutants.plant(mutants.named(name))
    from tests.sim.episode import BreachError, play

    began = time.process_time()
    for seed, number in itertools.chain(_seeds().get(name, []), _others()):
        try:
            play(seed, number)
        except BreachError as breach:
            spent = time.process_time() - began
            return Verdict(name, True, seed, number, spent, breach.rule)
        if time.process_time() - began >= limit_s:
            break
    return Verdict(name, False, 0, 0, time.process_time() - began, "survived")


def catch_all(names: list[str], limit_s: float = HUNT_CPU_S, *, rewrite: bool = False) -> int:
    """Hunt planted bugs, all of them where none is named, and print what became of each.

    With `rewrite` the episodes that caught them are kept, to be the first that are tried.
    """
    from tests.sim.runner import in_words, replay_all

    chosen = names or [mutant.name for mutant in mutants.MUTANTS]
    with processes(each_task_afresh=True) as pool:
        verdicts = list(pool.map(functools.partial(hunt, limit_s=limit_s), chosen))
    for one in sorted(verdicts, key=lambda one: (one.caught, one.name)):
        mark = "caught  " if one.caught else "SURVIVED"
        where = f"{one.spent_s:.1f} s, seed {one.seed}, episode {one.number}"
        print(f"{mark} {one.name} ({where}): {one.said[:90]}")
    if rewrite:
        _keep(verdicts)
    caught = sum(one.caught for one in verdicts)
    toll, broken = replay_all({(one.seed, one.number) for one in verdicts if one.caught})
    for problem in broken:
        print(f"\nthe source itself breaks a rule:\n{problem}")
    if caught < len(verdicts):
        print(
            "a fault or a rule is missing, or: python -m tests.sim mutants --seconds 60 --rewrite"
        )
    print(f"caught {caught}/{len(verdicts)}; the source itself passes: {in_words(toll)}")
    return 0 if caught == len(verdicts) and not broken else 1


def _others() -> Iterator[tuple[int, int]]:
    return ((HUNT_SEED, number) for number in itertools.count())


def _seeds() -> dict[str, list[tuple[int, int]]]:
    """Give, for each planted bug, the episode that is known to catch it: seed and number."""
    known = json.loads(SEEDS.read_text("utf-8")) if SEEDS.exists() else {}
    return {name: [(seed, number)] for name, (seed, number) in known.items()}


def _keep(verdicts: Iterable[Verdict]) -> None:
    """Keep where bugs were caught, one line each, in order."""
    known = {name: found[0] for name, found in _seeds().items()}
    known |= {one.name: (one.seed, one.number) for one in verdicts if one.caught}
    alive = {mutant.name for mutant in mutants.MUTANTS}
    lines = [f'  "{name}": {list(known[name])}' for name in sorted(alive.intersection(known))]
    SEEDS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
