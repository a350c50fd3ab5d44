"""Every kind of slot against every event: what becomes of it, as one table to be reviewed.

`pytest tests/core/test_cells.py --rewrite` writes what really happens into cells.txt.
A cell gives the state afterwards, and what else is noteworthy; `.` is "nothing changes".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.answers import probe_answered, signal_answered, spawn_failed, spawned
from reconciler.core.ends import exited, tree_emptied
from reconciler.core.healing import heal, health_told
from reconciler.core.ledger import Ledger
from reconciler.core.noticing import notified
from reconciler.model.event import (
    Event,
    Exited,
    HealthTold,
    Notified,
    ProbeAnswered,
    SignalAnswered,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.health import CheckType, HealthCheck, Verdict
from reconciler.model.observed import Exit, Notice, State
from reconciler.model.record import Memory, Pending, SlotMemory, SlotRecord
from reconciler.model.units import RunId, Serial, seconds
from tests.core.building import name, probed, slot
from tests.core.situations import LATER, NOW, memory_of, process_in

FILE = Path(__file__).with_name("cells.txt")
WEB = probed("web", health=HealthCheck(type=CheckType.TCP))
SLOT = slot("web")
PROCESS = process_in(WEB, 0)
DEAD = replace(PROCESS, exit=Exit(at=seconds(990), code=1))
OTHER = replace(PROCESS, run=RunId("another run"))
SERIAL = Serial(7)
PENDING = Pending(serial=SERIAL, overdue_at=LATER)

FRESH = SlotRecord(memory=SlotMemory(slot=SLOT))
USED = replace(FRESH, memory=replace(FRESH.memory, tried=WEB.digest, newest=PROCESS.started))
LIVE = replace(USED, process=PROCESS)
LEFT = replace(
    USED, process=DEAD, memory=replace(USED.memory, exited=DEAD.run, last_exit=DEAD.exit)
)

SLOTS = {
    "stopped, never used": FRESH,
    "stopped, its run is over": replace(
        USED, memory=replace(USED.memory, exited=PROCESS.run, ended=PROCESS.run)
    ),
    "starting, asked for": replace(USED, state=State.STARTING, pending=PENDING, cause="start"),
    "starting": replace(LIVE, state=State.STARTING, deadline=LATER, probing=SERIAL),
    "running": replace(LIVE, state=State.RUNNING),
    "degraded": replace(LIVE, state=State.DEGRADED),
    "stopping, asked to": replace(LIVE, state=State.STOPPING, pending=PENDING, deadline=LATER),
    "stopping": replace(LIVE, state=State.STOPPING, deadline=LATER),
    "stopping, start failed": replace(
        LIVE, state=State.STOPPING, deadline=LATER, after_stop=State.CRASHED, reason="too slow"
    ),
    "stopping, children left": replace(LEFT, state=State.STOPPING, deadline=LATER),
    "crashed": replace(USED, state=State.CRASHED),
    "crashed, children left": replace(LEFT, state=State.CRASHED),
    "unknown, killed": replace(LIVE, state=State.UNKNOWN, killed=True),
    "unknown, was running": replace(LIVE, state=State.UNKNOWN, lost_in=State.RUNNING),
    "unknown, was stopping": replace(LIVE, state=State.UNKNOWN, lost_in=State.STOPPING),
}


def exit_with(code: int, run: RunId = PROCESS.run) -> Exited:
    return Exited(slot=SLOT, run=run, exit=Exit(at=NOW, code=code))


def refused(*, is_busy: bool) -> SpawnFailed:
    return SpawnFailed(
        serial=SERIAL, slot=SLOT, step="exec", errno=2, because="it cannot", is_busy=is_busy
    )


def probe(*, passed: bool) -> ProbeAnswered:
    return ProbeAnswered(serial=SERIAL, slot=SLOT, run=PROCESS.run, passed=passed)


def says(**words: Any) -> Notified:
    notice = replace(Notice(at=NOW), **words)
    return Notified(slot=SLOT, run=PROCESS.run, id=PROCESS.id, notice=notice)


def told(verdict: Verdict) -> HealthTold:
    return HealthTold(slot=SLOT, run=PROCESS.run, verdict=verdict, reason="refused")


EVENTS: dict[str, Event] = {
    "spawned": Spawned(serial=SERIAL, process=PROCESS),
    "spawned, unasked": Spawned(serial=Serial(3), process=OTHER),
    "cannot start": refused(is_busy=False),
    "its place is taken": refused(is_busy=True),
    "signalled": SignalAnswered(serial=SERIAL, slot=SLOT),
    "not signalled": SignalAnswered(serial=SERIAL, slot=SLOT, problem="the holder has left"),
    "probe passed": probe(passed=True),
    "probe failed": probe(passed=False),
    "says it is ready": says(ready=True),
    "says it failed": says(failed=True),
    "says it stops": says(stopping=True),
    "exited with 0": exit_with(0),
    "exited with 1": exit_with(1),
    "another exited": exit_with(1, OTHER.run),
    "its tree is empty": TreeEmptied(slot=SLOT, run=PROCESS.run),
    "its checks pass": told(Verdict.HEALTHY),
    "a check failed": told(Verdict.FAILING),
    "its checks fail": told(Verdict.DEGRADED),
    "another's checks fail": replace(told(Verdict.DEGRADED), run=OTHER.run),
    "another's tree is empty": TreeEmptied(slot=SLOT, run=OTHER.run),
}


def take(ledger: Ledger, event: Event) -> None:
    match event:
        case Spawned():
            spawned(ledger, event)
        case SpawnFailed():
            spawn_failed(ledger, event)
        case Notified():
            notified(ledger, event)
        case SignalAnswered():
            signal_answered(ledger, event)
        case ProbeAnswered():
            probe_answered(ledger, event)
        case HealthTold():
            health_told(ledger, event)
            heal(ledger, ledger.record(SLOT))
        case Exited():
            exited(ledger, event)
        case TreeEmptied():
            tree_emptied(ledger, event)
        case _:
            raise AssertionError(event)


def cell(record: SlotRecord, event: Event) -> str:
    """Give what becomes of a slot."""
    ledger = Ledger.of(Memory(boot="", services={name("web"): memory_of(WEB)}), seed=0)
    ledger.now = NOW
    ledger.put(record)
    take(ledger, event)
    after = ledger.record(SLOT)
    notes = [
        note
        for note, is_so in {
            "counted": after.memory.trouble.failures > record.memory.trouble.failures,
            "empty": record.process is not None and after.process is None,
            "waits no more": record.pending is not None and after.pending is None,
            "kept for later": bool(ledger.early or ledger.early_notices),
            "watched": after.watchdog_at is not None,
            "has to end": after.deadline is not None and record.deadline is None,
            "looks": ledger.look_again,
            "proved well": after.memory.proven != record.memory.proven,
            "told": bool(ledger.happenings) and after.state is record.state,
        }.items()
        if is_so
    ]
    state = "" if after.state is record.state else str(after.state)
    return ", ".join([state, *notes] if state else notes) or "."


def test_every_cell_is_as_written(request: pytest.FixtureRequest) -> None:
    lines = ["# Every kind of slot against every event; `.` is nothing.", ""]
    for kind, record in SLOTS.items():
        lines.append(f"{kind}:")
        lines += [f"    {what:24} {cell(record, event)}" for what, event in EVENTS.items()]
        lines.append("")
    if request.config.getoption("--rewrite"):
        FILE.write_text("\n".join(lines), "utf-8")
    assert FILE.read_text("utf-8").splitlines() == "\n".join(lines).splitlines()
