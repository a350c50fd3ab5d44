"""What was done to a process by hand is put right, shown while it cannot be, and judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.diff import Language
from reconciler.core.ends import exited
from reconciler.core.judge import judge
from reconciler.core.ledger import Ledger
from reconciler.core.planner import plan
from reconciler.manifest.fields import describe, effect_of
from reconciler.model.change import Verb
from reconciler.model.event import Exited
from reconciler.model.observed import Exit, State
from reconciler.model.plan import HoldCode, Plan, Repair, Restart, Situation
from reconciler.model.record import Drift, Memory, Pending, SlotRecord, Trouble
from reconciler.model.spec import OnRestart, RestartPolicy
from reconciler.model.units import RunId, Serial
from reconciler.runtime import previews
from tests.core.building import name, need, service, slot
from tests.core.situations import EARLIER, LATER, NOW, converged, memory_of, process_in

WEB = service("web", nice=5)
PROCESS = process_in(WEB, 0)
RENICED = Drift(run=PROCESS.run, is_halted=False, nice=19)
HALTED = Drift(run=PROCESS.run, is_halted=True, nice=None)
LANGUAGE = Language(describe=describe, effect_of=effect_of)
ACTION = Repair(slot=slot("web"), target=PROCESS.id, because="for a test")


def with_drift(drift: Drift | None, **fields: Any) -> Situation:
    situation = converged(WEB)
    record: SlotRecord = situation.slots[name("web")][0]
    changed = replace(record, drift=drift, **fields)
    return replace(situation, slots={name("web"): {0: changed}})


@pytest.mark.parametrize(
    ("drift", "because"),
    [
        (HALTED, "it was stopped by hand (SIGSTOP)"),
        (RENICED, "its nice is 19, not 5"),
        (
            replace(RENICED, is_halted=True),
            "it was stopped by hand (SIGSTOP) and its nice is 19, not 5",
        ),
    ],
)
def test_what_was_done_is_put_right_and_shown_as_drift(drift: Drift, because: str) -> None:
    situation = with_drift(drift)
    (action,) = plan(situation).actions
    assert action == Repair(slot=slot("web"), target=PROCESS.id, because=because)
    assert judge(plan(situation), situation) == ()
    shown = previews.live(situation, LANGUAGE)
    assert [(one.service, one.verbs, one.reason) for one in shown.drift] == [
        ("web", (Verb.UPDATE,), because)
    ]


def test_what_cannot_be_put_right_is_shown_with_its_reason_until_it_is_tried_again() -> None:
    vain = replace(RENICED, until=LATER, problem="renice to 5: permission denied")
    situation = with_drift(vain)
    (hold,) = plan(situation).holds
    because = "its nice is 19, not 5; cannot put that right: renice to 5: permission denied"
    assert (hold.code, hold.because, hold.until) == (HoldCode.DRIFTED, because, LATER)
    shown = previews.live(situation, LANGUAGE)
    assert [(one.verbs, one.held_by) for one in shown.drift] == [((Verb.NONE,), because)]
    assert plan(with_drift(replace(vain, until=EARLIER))).actions


@pytest.mark.parametrize(
    ("drift", "verbs"),
    [
        (HALTED, {"web": Repair}),
        (replace(HALTED, until=LATER), {}),
        (replace(HALTED, until=LATER, problem="no permission"), {"web": Restart, "api": Restart}),
        (None, {"web": Restart, "api": Restart}),
    ],
)
def test_it_is_put_right_before_it_is_replaced_with_all_that_restart_with_it(
    drift: Drift | None, verbs: dict[str, type]
) -> None:
    api = service("api", needs=(need("web", on_restart=OnRestart.RESTART),))
    found = converged(WEB, api)
    memory = replace(found.services[name("web")], restart_before=NOW)
    record = replace(found.slots[name("web")][0], drift=drift)
    situation = replace(
        found,
        services={**found.services, name("web"): memory},
        slots={**found.slots, name("web"): {0: record}},
    )
    made = plan(situation)
    assert {one.slot.service: type(one) for one in made.actions if hasattr(one, "slot")} == verbs
    assert judge(made, situation) == ()


@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(with_drift(replace(HALTED, run=RunId("another"))), id="of the last process"),
        pytest.param(with_drift(replace(RENICED, nice=5)), id="as its manifest says"),
        pytest.param(with_drift(None), id="nothing"),
    ],
)
def test_nothing_is_done_about_what_is_as_it_should_be(situation: Situation) -> None:
    assert plan(situation) == Plan()


@pytest.mark.parametrize(
    ("situation", "fault"),
    [
        pytest.param(with_drift(None), "nothing was done to it", id="nothing was done"),
        pytest.param(
            with_drift(replace(HALTED, run=RunId("another"))), "nothing was done", id="another run"
        ),
        pytest.param(with_drift(replace(HALTED, until=LATER)), "just tried", id="at once again"),
        pytest.param(with_drift(replace(RENICED, nice=5)), "another nice", id="as it should be"),
        pytest.param(with_drift(HALTED, state=State.STOPPING), "is stopping", id="it has to end"),
        pytest.param(
            with_drift(HALTED, pending=Pending(serial=Serial(1), overdue_at=LATER)),
            "was not answered",
            id="something is under way",
        ),
        pytest.param(
            with_drift(HALTED, process=replace(PROCESS, exit=Exit(at=EARLIER, code=0))),
            "it is running",
            id="it has ended",
        ),
        pytest.param(with_drift(HALTED, process=None), "not what runs there", id="it is gone"),
    ],
)
def test_a_repair_that_may_not_be_is_refused(situation: Situation, fault: str) -> None:
    assert any(fault in one.text for one in judge(Plan(actions=(ACTION,)), situation))


@pytest.mark.parametrize(
    ("restart", "gives_up"), [(RestartPolicy.ALWAYS, False), (RestartPolicy.NEVER, True)]
)
def test_who_finds_a_stranger_in_its_place_is_told_once_and_does_not_give_up(
    restart: RestartPolicy, gives_up: bool
) -> None:
    spec = service("web", max_restarts=0, restart=restart)
    memory = Memory(boot="boot", services={spec.name: memory_of(spec)})
    ledger = Ledger.of(memory, 0)
    ledger.now = NOW
    process = process_in(spec, 0)
    taken = Exit(at=NOW, code=1, note="port 80 is in use by nginx (pid 12)", crowded_out=True)
    for _ in range(2):
        record = converged(spec).slots[spec.name][0]
        known = ledger.slots.get(spec.name, {}).get(0)
        last = known.memory.last_exit if known is not None else None
        ledger.put(replace(record, memory=replace(record.memory, last_exit=last)))
        exited(ledger, Exited(slot=process.slot, run=process.run, exit=taken))
    told = [one.reason for one in ledger.happenings if one.kind == "drift.found"]
    assert told == ["port 80 is in use by nginx (pid 12)"]
    trouble = ledger.slots[spec.name][0].memory.trouble
    assert trouble.gave_up is gives_up
    assert (trouble.retry_at is None) is gives_up


def test_what_was_killed_is_drift_until_it_runs_again() -> None:
    trouble = Trouble(failures=1, retry_at=LATER, because="killed by SIGKILL")
    memory = replace(converged(WEB).slots[WEB.name][0].memory, trouble=trouble)
    situation = with_drift(None, memory=memory, state=State.CRASHED, process=None)
    (shown,) = previews.live(situation, LANGUAGE).drift
    assert shown.service == "web"
    assert "killed by SIGKILL" in (shown.held_by or "")
