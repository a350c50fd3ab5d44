"""Play many episodes: one seed, seeds for a while, or with a bug planted in the source."""

from __future__ import annotations

import functools
import gc
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sim import mutants
from tests.sim.episode import BreachError, Toll, new_digest, play
from tests.sim.shrinking import shortest

HUNT_CPU_S = 5.0
"""How long a planted bug may live, in seconds of the processor."""
HUNT_SEED = 31
SEEDS = Path(__file__).with_name("planted") / "seeds.json"
"""Which episode caught each planted bug; `mutants --rewrite` writes it."""
GARBAGE_EVERY = 20
"""Episodes: a dead world is a web of cycles, and looking for it all the time costs a tenth."""
LAST_LINES = 45
TOP_FAULTS = 12


def episodes(seed: int, first: int = 0, digest: Any = None) -> Iterator[tuple[int, Toll]]:
    """Play one episode of a seed after another. Raises BreachError, with its number as a note."""
    gc.disable()
    try:
        for number in itertools.count(first):
            try:
                toll = play(seed, number, digest)
            except BreachError as breach:
                breach.add_note(str(number))
                raise
            if number % GARBAGE_EVERY == 0:
                gc.collect()
            yield number, toll
    finally:
        gc.enable()


def run(seed: int, events: int) -> int:
    """Play a seed until so many events have changed something; print a digest."""
    digest, toll = new_digest(), Toll()
    began = time.monotonic()
    try:
        for _, one in episodes(seed, digest=digest):
            toll.add(one)
            if toll.events >= events:
                break
    except BreachError as breach:
        print(told(breach, seed))
        return 1
    print(f"seed {seed}: {in_words(toll)}, in {time.monotonic() - began:.1f} s")
    print(f"digest {digest.hexdigest()}")
    return 0


def tell(seed: int, number: int) -> int:
    """Play one episode and tell its story to the end, or to where it breaks a rule."""
    try:
        toll = play(seed, number)
    except BreachError as breach:
        breach.add_note(str(number))
        print(told(breach, seed))
        return 1
    print(f"seed {seed}, episode {number}: {in_words(toll)}; no rule was broken")
    return 0


def told(breach: BreachError, seed: int) -> str:
    """Give what a person needs of a failure: the last steps, the deeds, how to see it again."""
    number = breach.__notes__[-1]
    last = str(breach).splitlines()[-LAST_LINES:]
    deeds = [f"  {deed!r}" for deed in breach.history[-10:]]
    where = f"--seed {seed} --episode {number}"
    return "\n".join(
        [
            *last,
            "",
            "the last deeds:",
            *deeds,
            "",
            f"replay: python -m tests.sim run {where}",
            f"shrink: python -m tests.sim shrink {where}",
        ]
    )


def in_words(toll: Toll) -> str:
    """Say what a simulation went through."""
    return (
        f"{toll.episodes:,} episodes, {toll.events:,} events that changed something,"
        f" {toll.timers:,} timers, {toll.faults.total():,} faults"
    )


def shrink(seed: int, number: int) -> int:
    """Print the shortest history that still breaks the rule that an episode breaks."""
    try:
        play(seed, number)
    except BreachError as breach:
        history, said = shortest(breach)
        print(said)
        print(f"replay([{', '.join(map(repr, history))}], seed={breach.seed})")
        return 1
    print(f"seed {seed}, episode {number}: no rule was broken")
    return 0


# --- on all cores ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """What one process is to play, and until when."""

    seed: int
    events: int | None = None
    until: float | None = None
    """By the monotonic clock."""


def play_share(share: Share) -> tuple[Toll, str]:
    """Play a share; what went wrong, in words, is empty where nothing did."""
    toll = Toll()
    try:
        for _, one in episodes(share.seed):
            toll.add(one)
            if share.events is not None and toll.events >= share.events:
                break
            if share.until is not None and time.monotonic() >= share.until:
                break
    except BreachError as breach:
        return toll, told(breach, share.seed)
    return toll, ""


def cores() -> int:
    """Give how many cores are ours: pytest-xdist tells each of its processes how many it began."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def play_all(shares: Iterable[Share]) -> tuple[Toll, list[str]]:
    """Play shares side by side, as many at a time as there are cores."""
    toll, broken = Toll(), []
    # Whoever has threads, as a test process has, must not fork.
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        for one, problem in pool.map(play_share, shares):
            toll.add(one)
            broken += [problem] if problem else []
    return toll, broken


def soak(minutes: float, seed: int) -> int:
    """Play seeds on all cores for so long, and print what was covered."""
    until = time.monotonic() + 60 * minutes
    count = cores()
    toll, broken = play_all(Share(seed + core, until=until) for core in range(count))
    print(f"seeds {seed} to {seed + count - 1}: {in_words(toll)}")
    for name, count in toll.faults.most_common(TOP_FAULTS):
        print(f"  {count:>10,}  {name}")
    for problem in broken:
        print(f"\n{problem}")
    return 1 if broken else 0


# --- planted bugs ----------------------------------------------------------------------------


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


def hunt(name: str, limit_s: float) -> int:
    """Play until a rule is broken, for as long as a planted bug may live; print which and when.

    The episode that caught it last time comes first; the code may have changed since, so others
    follow.
    """
    began = time.process_time()
    for seed, number in itertools.chain(_seeds().get(name, []), _others()):
        try:
            play(seed, number)
        except BreachError as breach:
            spent = time.process_time() - began
            print(f"{seed} {number} {spent:.1f} {breach.rule}")
            return 0
        if time.process_time() - began >= limit_s:
            break
    print(f"0 0 {time.process_time() - began:.1f} survived")
    return 0


def _others() -> Iterator[tuple[int, int]]:
    return ((HUNT_SEED, number) for number in itertools.count())


def _seeds() -> dict[str, list[tuple[int, int]]]:
    """Give, for each planted bug, the episode that is known to catch it: seed and number."""
    known = json.loads(SEEDS.read_text("utf-8")) if SEEDS.exists() else {}
    return {name: [(seed, number)] for name, (seed, number) in known.items()}


def judge(name: str, limit_s: float = HUNT_CPU_S) -> Verdict:
    """Let a process of its own hunt one planted bug."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim", "hunt", name, str(limit_s)],
        capture_output=True,
        text=True,
        timeout=20 * limit_s,
        check=False,
    )
    words = (done.stdout.strip().splitlines() or [f"0 0 0 failed: {done.stderr[-200:]}"])[-1]
    seed, number, spent, said = words.split(maxsplit=3)
    caught = said != "survived" and not said.startswith("failed: ")
    return Verdict(name, caught, int(seed), int(number), float(spent), said)


def catch_all(names: list[str], limit_s: float = HUNT_CPU_S, *, rewrite: bool = False) -> int:
    """Plant one bug after another, and see that each is caught while the source itself passes.

    With `rewrite` the episodes that caught them are kept, to be the first that are tried.
    """
    chosen = names or [mutant.name for mutant in mutants.MUTANTS]
    with ThreadPoolExecutor(cores()) as pool:
        verdicts = list(pool.map(functools.partial(judge, limit_s=limit_s), chosen))
    for one in sorted(verdicts, key=lambda one: (one.caught, one.name)):
        mark = "caught  " if one.caught else "SURVIVED"
        where = f"{one.spent_s:.1f} s, seed {one.seed}, episode {one.number}"
        print(f"{mark} {one.name} ({where}): {one.said[:90]}")
    if rewrite:
        _keep(verdicts)
    caught = sum(one.caught for one in verdicts)
    toll, broken = _unpatched({(one.seed, one.number) for one in verdicts if one.caught})
    for problem in broken:
        print(f"\nthe source itself breaks a rule:\n{problem}")
    if caught < len(verdicts):
        print(
            "a fault or a rule is missing, or: python -m tests.sim mutants --seconds 60 --rewrite"
        )
    print(f"caught {caught}/{len(verdicts)}; the source itself passes: {in_words(toll)}")
    return 0 if caught == len(verdicts) and not broken else 1


def _keep(verdicts: Iterable[Verdict]) -> None:
    """Keep where bugs were caught, one line each, in order."""
    known = {name: found[0] for name, found in _seeds().items()}
    known |= {one.name: (one.seed, one.number) for one in verdicts if one.caught}
    alive = {mutant.name for mutant in mutants.MUTANTS}
    lines = [f'  "{name}": {list(known[name])}' for name in sorted(alive.intersection(known))]
    SEEDS.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def _unpatched(caught_in: set[tuple[int, int]]) -> tuple[Toll, list[str]]:
    """Play the episodes in which bugs were caught, with the source as it is."""
    toll, broken = Toll(), []
    for seed, number in sorted(caught_in):
        try:
            toll.add(play(seed, number))
        except BreachError as breach:
            breach.add_note(str(number))
            broken.append(told(breach, seed))
    return toll, broken
