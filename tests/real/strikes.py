"""Strike real programs at their failpoints: `python -m tests.real.strikes --minutes 10 --seed 7`.

Every point, with every blow that there can be: whoever passes it is killed, stands still, or meets
an error; and while it stands still the other program is killed, or both. Two ordeals of twenty
services each run side by side. It ends when all is done or time is up, and prints what was done.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.real.ordeal import ordeal
from tests.real.points import Blow, Point, points

LANES = 2
ROOT = Path(__file__).parents[2]
ROUND = (Blow.KILL, Blow.OTHER, Blow.KILL, Blow.HALT, Blow.BOTH, Blow.RAISE)
"""What befalls one point after the other where each is struck once."""
NOT_PASSED = {"rotate.truncating", "rotate.truncated"}
"""Passed only where the file system knows no holes; tests/logs strikes there."""

OUTSIDE = {"rotate", "delete", "push"}
"""Deeds whose points tests/logs and test_push strike; of these a daemon's ordeal has a place for
rotations only: a log that is deleted loses its lines, and it follows no branch elsewhere."""

Strike = tuple[Point, Blow]


def each_once() -> list[Strike]:
    """Give one blow for each point but those that tests/logs strikes."""
    found = [point for point in points() if point.deed not in OUTSIDE]
    return [
        (point, blow if (blow := ROUND[place % len(ROUND)]) in point.blows else Blow.HALT)
        for place, point in enumerate(found)
    ]


def every(seed: int) -> list[Strike]:
    """Give every blow at every point, in an order that the seed decides."""
    found = [
        (point, blow)
        for point in points()
        if point.name not in NOT_PASSED and point.deed not in ("delete", "push")
        for blow in point.blows
    ]
    random.Random(seed).shuffle(found)
    return found


def share(strikes: Sequence[Strike], lane: int, lanes: int) -> list[Strike]:
    """Give a lane its part, with as many blows of each kind as the others have."""
    return [strike for place, strike in enumerate(strikes) if place // len(ROUND) % lanes == lane]


def strike_all(folder: Path, strikes: Sequence[Strike], until: float) -> dict[str, int]:
    """Deal these blows, one after the other, until time is up; give what was done."""
    with ordeal(folder) as test:
        for point, blow in strikes:
            if time.monotonic() >= until:
                break
            try:
                test.strike(point, blow)
            except BaseException as error:
                error.add_note(f"at {point.name}: {blow}")
                raise
        test.check_all()
    counts = {str(blow): count for blow, count in test.done.items()}
    return counts | {
        "strikes": test.done.total(),
        "deaths meanwhile": test.deaths,
        "unknown": test.unknown,
        "lines": test.lines,
    }


def side_by_side(words: Sequence[str], lanes: int = LANES) -> Counter[str]:
    """Let ordeals run side by side, each in a process of its own; give the sum of what they did."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.real.strikes", *words, "--lane", str(lane), str(lanes)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for lane in range(lanes)
    ]
    done: Counter[str] = Counter()
    try:
        for process in running:
            said, _ = process.communicate()
            if process.returncode:
                raise AssertionError(f"an ordeal failed; see above: {words}")
            done.update(json.loads(said.splitlines()[-1]))
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()  # it clears away what it has started
                process.communicate()
    return done


def report(done: Counter[str], seconds: float) -> str:
    """Say what was done and found."""
    lines = [f"{done['strikes']} strikes in {seconds:.0f} s at {len(points())} failpoints:"]
    lines += [f"  {done[blow]:>6,}  {blow}" for blow in Blow]
    deaths, unknown = done["deaths meanwhile"], done["unknown"]
    lines += [
        f"  {deaths:>6,}  services ended meanwhile; {unknown} exit codes died with a holder",
        f"  {done['lines']:>6,}  lines of logs, none lost, none twice",
        "no service was restarted that should not, and none ran twice",
    ]
    return "\n".join(lines)


def main() -> int:
    """Strike as the words say."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.strikes", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--once", action="store_true", help="one blow for each point")
    parser.add_argument("--lane", type=int, nargs=2, metavar=("N", "OF"), help="do only a share")
    parser.add_argument("--only", default="", help="points with this in their name")
    given = parser.parse_args()
    strikes = each_once() if given.once else every(given.seed)
    strikes = [strike for strike in strikes if given.only in strike[0].name]
    began = time.monotonic()
    if given.lane:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        with tempfile.TemporaryDirectory(prefix="weaver-ordeal-") as folder:
            until = began + 60 * given.minutes
            print(json.dumps(strike_all(Path(folder) / "here", share(strikes, *given.lane), until)))
        return 0
    words = ["--minutes", str(given.minutes), "--seed", str(given.seed), "--only", given.only]
    print(f"{len(strikes)} strikes, {given.minutes:g} minutes at most; replay with {words}")
    try:
        done = side_by_side([*words, *(["--once"] if given.once else [])])
    except AssertionError as failure:
        print(failure)
        return 1
    print(report(done, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
