"""Jobs of a real daemon come at their times, once each, whoever dies in between."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import pytest

from tests.real.station import Json, Station, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

MINUTE = 60 * 10**9
JOB = """#!/bin/sh
echo $$ >> "$1.ran"
test "$2" = at-once || until test -e "$1.may"; do sleep 0.02; done
"""


def job(here: Station, name: str, schedule: str, more: str = "") -> None:
    text = f"name: {name}\ntype: oneshot\ncommand: ./job {name} {more}\nstopTimeout: 2s\n"
    here.file(name).write_text(f"{text}schedule: {{{schedule}}}\n")


def runs(here: Station, name: str) -> list[int]:
    """Give the pids of all runs there were."""
    file = here.root / f"{name}.ran"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def told(here: Station, kind: str, name: str) -> list[Json]:
    return [one for one in here.events(name) if one["kind"] == kind]


def set_back(here: Station, names: Sequence[str], by: int) -> None:
    """Let the record of jobs that never ran be older than it is, as if nobody was there for long.

    The daemon is dead. What did run would lose by it that its last times were served.
    """
    with closing(sqlite3.connect(here.paths.database)) as base, base:
        for name in names:
            [[text]] = base.execute("SELECT config FROM services WHERE name = ?", (name,))
            config = json.loads(text)
            timing = config["memory"]["timing"]
            timing["since"] -= by
            timing["at"] -= by
            text = json.dumps(config)
            base.execute("UPDATE services SET config = ? WHERE name = ?", (text, name))


def test_jobs_come_at_their_times_and_what_was_missed_is_made_up_for_once(here: Station) -> None:
    (here.root / "job").write_text(JOB)
    (here.root / "job").chmod(0o755)
    here.up()
    # Times are told in whole seconds: none of them shall be near the turn of one.
    until(lambda: 0.1 < time.time() % 1 < 0.6)
    job(here, "tick", "every: 1s", "at-once")
    job(here, "skips", "every: 1s")
    job(here, "queues", "every: 1s, overlap: queue")
    job(here, "replaces", "every: 1s, overlap: replace")
    job(here, "nightly", "every: 1h, catchUp: once", "at-once")
    job(here, "passed", "every: 1h", "at-once")
    until(lambda: len(runs(here, "replaces")) > 1)
    until(lambda: len(runs(here, "tick")) > 1)
    assert not is_alive(runs(here, "replaces")[0])
    until(lambda: told(here, "schedule.skipped", "skips"))
    assert len(runs(here, "skips")) == len(runs(here, "queues")) == 1
    # What waits begins at the end of the run before it, and waits for no further time.
    until(lambda: told(here, "schedule.skipped", "queues"))
    (here.root / "queues.may").touch()
    until(lambda: len(runs(here, "queues")) > 1)
    assert runs(here, "skips") == [here.pid("skips")]
    # Whoever was at work when the daemon died is at work still; nothing is run for it again.
    here.kill_daemon()
    set_back(here, ["nightly", "passed"], 150 * MINUTE)
    here.up()
    until(lambda: runs(here, "nightly"))
    [missed] = told(here, "schedule.missed", "nightly")
    assert missed["data"]["times"] == 1
    assert "is made up for" in missed["reason"]
    assert [one["data"]["times"] for one in told(here, "schedule.missed", "passed")] == [2]
    before = len(runs(here, "tick"))
    here.kill_daemon()
    here.up()
    until(lambda: len(runs(here, "tick")) > before)
    assert len(runs(here, "nightly")) == 1
    assert runs(here, "passed") == []
    assert runs(here, "skips") == [here.pid("skips")]
    for name in ("tick", "nightly"):
        times = Counter(one["reason"] for one in told(here, "service.starting", name))
        assert set(times.values()) == {1}
