"""Play many episodes: one seed, seeds for a while, or with a bug planted in the source."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.sim import mutants
from tests.sim.episode import BreachError, Toll, new_digest, play
from tests.sim.shrinking import shortest

HUNT_CPU_S = 5.0
"""How long a planted bug may live, in seconds of the processor."""
HUNT_SEED = 1
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


def play_all(shares: Iterable[Share]) -> tuple[Toll, list[str]]:
    """Play shares side by side, as many at a time as there are cores."""
    toll, broken = Toll(), []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for one, problem in pool.map(play_share, shares):
            toll.add(one)
            broken += [problem] if problem else []
    return toll, broken


def soak(minutes: float, seed: int) -> int:
    """Play seeds on all cores for so long, and print what was covered."""
    until = time.monotonic() + 60 * minutes
    cores = os.cpu_count() or 1
    toll, broken = play_all(Share(seed + core, until=until) for core in range(cores))
    print(f"seeds {seed} to {seed + cores - 1}: {in_words(toll)}")
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
    episodes: int
    said: str


def hunt() -> int:
    """Play until a rule is broken, for as long as a planted bug may live; print which and when."""
    began, number = time.process_time(), -1
    try:
        for number, _ in episodes(HUNT_SEED):
            if time.process_time() - began >= HUNT_CPU_S:
                print(f"{number + 1} survived")
                return 0
    except BreachError as breach:
        spent = time.process_time() - began
        said = (str(breach).strip().splitlines() or ["?"])[-1]
        caught = spent <= HUNT_CPU_S
        print(f"{number + 2} {'caught' if caught else 'late'} {said}")
    return 0


def judge(name: str) -> Verdict:
    """Let a process of its own hunt one planted bug."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim", "hunt", name],
        capture_output=True,
        text=True,
        timeout=20 * HUNT_CPU_S,
        check=False,
    )
    words = (done.stdout.strip().splitlines() or [f"0 failed {done.stderr[-200:]}"])[-1]
    count, fate, *said = words.split(maxsplit=2)
    return Verdict(name, fate == "caught", int(count), " ".join(said) or fate)


def catch_all(names: list[str]) -> int:
    """Plant one bug after another, and see that each is caught while the source itself passes."""
    chosen = names or [mutant.name for mutant in mutants.MUTANTS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(judge, chosen))
    for verdict in sorted(verdicts, key=lambda one: (one.caught, one.name)):
        mark = "caught  " if verdict.caught else "SURVIVED"
        print(f"{mark} {verdict.name} (episode {verdict.episodes}): {verdict.said[:90]}")
    caught = sum(verdict.caught for verdict in verdicts)
    needed = max((verdict.episodes for verdict in verdicts if verdict.caught), default=0)
    toll, broken = _unpatched(needed)
    for problem in broken:
        print(f"\nthe source itself breaks a rule:\n{problem}")
    print(f"caught {caught}/{len(verdicts)}; the source itself passes: {in_words(toll)}")
    return 0 if caught == len(verdicts) and not broken else 1


def _unpatched(count: int) -> tuple[Toll, list[str]]:
    """Play the episodes in which bugs were caught, with the source as it is."""
    toll = Toll()
    try:
        for number, one in episodes(HUNT_SEED):
            toll.add(one)
            if number + 1 >= count:
                break
    except BreachError as breach:
        return toll, [told(breach, HUNT_SEED)]
    return toll, []
