"""Play many episodes: one seed, or seeds for a while, on one core or on all."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.sim.cores import cores, processes
from tests.sim.episode import BreachError, Toll, new_digest, play
from tests.sim.shrinking import shortest

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
    with processes() as pool:
        for one, problem in pool.map(play_share, shares):
            toll.add(one)
            broken += [problem] if problem else []
    return toll, broken


def replay_all(chosen: Iterable[tuple[int, int]]) -> tuple[Toll, list[str]]:
    """Play episodes, each named by seed and number, side by side."""
    toll, broken = Toll(), []
    with processes() as pool:
        for one, problem in pool.map(_play_one, sorted(chosen)):
            toll.add(one)
            broken += [problem] if problem else []
    return toll, broken


def _play_one(episode: tuple[int, int]) -> tuple[Toll, str]:
    seed, number = episode
    try:
        return play(seed, number), ""
    except BreachError as breach:
        breach.add_note(str(number))
        return Toll(), told(breach, seed)


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
