"""Until when a process has to be heard of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.watchdog import fed
from reconciler.model.observed import Notice, Process, ProcessId, State
from reconciler.model.record import SlotMemory, SlotRecord
from reconciler.model.units import Digest, Nanos, RunId, seconds
from tests.core.building import slot

HOUR = seconds(3600)
EVERY = seconds(4)
SLACK = Nanos(EVERY // 20)


def heard(at: float) -> SlotRecord:
    """Give the record of a process that said so long after its start that it is well."""
    notice = Notice(at=seconds(at), ready=True, watchdog=EVERY, pinged=seconds(at))
    process = Process(
        slot=slot("web"),
        id=ProcessId(boot="boot", pid=7, born=1),
        run=RunId("run"),
        digest=Digest("web@1"),
        started=Nanos(0),
        notice=notice,
    )
    return SlotRecord(memory=SlotMemory(slot=slot("web")), state=State.RUNNING, process=process)


@pytest.mark.parametrize(
    ("said", "told", "woke", "until"),
    [
        pytest.param(12, 12, 0, 12, id="told at once"),
        pytest.param(11, 12, 0, 11, id="told late: it counts from when it was said"),
        pytest.param(12, 3700, 3699, 3699, id="said before the host slept: from when it woke"),
        pytest.param(3702, 3702, 3699, 3702, id="said since"),
    ],
)
def test_what_a_process_says_gives_it_time(
    said: float, told: float, woke: float, until: float
) -> None:
    before = replace(heard(10), watchdog_at=Nanos(seconds(10) + EVERY + SLACK))
    found = fed(heard(said), before, seconds(told), seconds(woke))
    assert found == seconds(until) + EVERY + SLACK


def test_a_word_that_takes_time_away_does_not_count() -> None:
    before = replace(heard(10), watchdog_at=HOUR)
    assert fed(heard(12), before, seconds(12), Nanos(0)) == HOUR
