"""What is left when the supervisor itself is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

from benchmarks.peers import Supervisord
from benchmarks.processes import until
from benchmarks.report import Row
from benchmarks.supervisors import STOP_S, Weaver, running

SERVICES = 20
LOOK_AFTER_S = 2.0
Victims = Callable[[Weaver], list[int]]


def run() -> Iterator[Row]:
    """Kill each part of Weaver and all of it, start it again, and do the same to supervisord."""
    theirs = _supervisord()
    cases: dict[str, Victims] = {
        "the daemon": lambda weaver: [weaver.daemon()],
        "the holder": lambda weaver: [weaver.holder()],
        "both": lambda weaver: [weaver.daemon(), weaver.holder()],
    }
    for name, victims in cases.items():
        alive, kept, twice = _weaver(victims)
        yield Row(
            what=f"kill -9 of {name}, and a new start",
            budget=f"{SERVICES} kept",
            measured=f"{kept} kept",
            beside=f"supervisord {theirs[2]} run twice",
            met=(alive, kept, twice) == (SERVICES, SERVICES, 0),
            note=(
                f"{alive} of {SERVICES} ran on, {kept} are supervised again with their pid, "
                f"{twice} run twice; under supervisord {theirs[0]} ran on (they print nothing: "
                f"who prints dies of its closed pipe), none is supervised again, {theirs[2]} "
                "run twice"
            ),
        )


def _weaver(victims: Victims) -> tuple[int, int, int]:
    with running(weaver := Weaver(SERVICES)):
        weaver.until_converged()
        before = weaver.census.fresh()
        for pid in victims(weaver):
            os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_AFTER_S)
        alive = len(before.keys() & weaver.census.fresh().keys())
        _ = subprocess.run(
            weaver.command("up", "--detach"), check=False, capture_output=True, timeout=STOP_S
        )
        after = weaver.census.fresh()
    return alive, len(before.keys() & after.keys()), len(after) - len(set(after.values()))


def _supervisord() -> tuple[int, int, int]:
    with running(peer := Supervisord(SERVICES)):
        time.sleep(LOOK_AFTER_S)
        before = peer.census.fresh()
        peer.process.kill()
        peer.process.wait()
        time.sleep(LOOK_AFTER_S)
        alive = len(before.keys() & peer.census.fresh().keys())
        peer.launch()
        until(lambda: _has_started(peer), 30, "supervisord to start again", 0.05)
        after = peer.census.fresh()
    return alive, len(before.keys() & after.keys()), len(after) - len(set(after.values()))


def _has_started(peer: Supervisord) -> bool:
    """Tell whether every service has a process below the new supervisord."""
    if peer.process.poll() is not None:
        raise RuntimeError(f"supervisord did not start again: {peer.stderr.read_text()[-500:]}")
    asked = subprocess.run(peer.control("status"), check=False, capture_output=True, text=True)
    return asked.stdout.count("RUNNING") == SERVICES
