"""The judge is not vacuous: a plan that breaks one rule, for each rule, and each is caught."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.breaches import without_faults
from reconciler.core.judge import judge
from reconciler.core.planner import plan
from reconciler.core.settle import settle
from reconciler.model.observed import Exit, Process, State
from reconciler.model.plan import (
    Action,
    Forget,
    Hold,
    HoldCode,
    Kill,
    Plan,
    Restart,
    Situation,
    SlotAction,
    Start,
    Stop,
    Update,
    Wait,
)
from reconciler.model.record import Pending, PruneHold, SlotRecord, Trouble
from reconciler.model.spec import Condition, ServiceSpec
from reconciler.model.units import Digest, Nanos, Serial, seconds
from tests.core.building import STOPPED, follows, manifests, name, need, oneshot, service, slot
from tests.core.situations import EARLIER, LATER, NOW, converged, memory_of

WHY = "for a test"


def wanting(situation: Situation, *specs: ServiceSpec, invalid: tuple[str, ...] = ()) -> Situation:
    """Give the situation with other manifests read."""
    desired = settle(manifests(*specs, invalid=invalid), situation.services)
    return replace(situation, desired=desired)


def record_of(situation: Situation, text: str, index: int = 0) -> SlotRecord:
    return situation.slots[name(text)][index]


def having(situation: Situation, text: str, record: SlotRecord | None) -> Situation:
    """Give the situation with another record for a service's first slot."""
    slots = {key: dict(records) for key, records in situation.slots.items()}
    slots[name(text)] = {} if record is None else {0: record}
    return replace(situation, slots=slots)


def changed(situation: Situation, text: str, **fields: object) -> Situation:
    return having(situation, text, replace(record_of(situation, text), **fields))  # type: ignore[arg-type]  # names of fields


def remembering(situation: Situation, text: str, **fields: object) -> Situation:
    memory = replace(record_of(situation, text).memory, **fields)  # type: ignore[arg-type]  # names of fields
    return changed(situation, text, memory=memory)


def target(situation: Situation, text: str) -> Process:
    process = record_of(situation, text).process
    assert process is not None
    return process


def start(text: str, *after: Wait) -> Start:
    return Start(slot=slot(text), because=WHY, after=after)


def stop(situation: Situation, text: str, *after: Wait) -> Stop:
    return Stop(slot=slot(text), target=target(situation, text).id, because=WHY, after=after)


def restart(situation: Situation, text: str, *after: Wait) -> Restart:
    return Restart(slot=slot(text), target=target(situation, text).id, because=WHY, after=after)


def kill(situation: Situation, text: str) -> Kill:
    return Kill(slot=slot(text), target=target(situation, text).id, because=WHY)


def forget(text: str) -> Forget:
    return Forget(service=name(text), because=WHY)


UP = converged(service("web"))
DOWN = having(UP, "web", None)
PAIR = converged(service("web", "db"), service("db"))
TRIO = converged(service("web", "api"), service("api", "db"), service("db"))
IN_TROUBLE = changed(
    remembering(UP, "web", tried=Digest("web@1"), trouble=Trouble(failures=1, retry_at=LATER)),
    "web",
    process=None,
    state=State.CRASHED,
)
STOPPING = changed(UP, "web", state=State.STOPPING, deadline=LATER)
PENDING = Pending(serial=Serial(3), overdue_at=LATER)
DEAD = replace(target(UP, "web"), exit=Exit(at=EARLIER, code=1))

BAD: dict[str, tuple[Situation, tuple[Action, ...], str]] = {
    "two actions for one slot": (DOWN, (start("web"), start("web")), "two actions for web-0"),
    "a start and an end of one slot": (
        wanting(UP, service("web", edition=2)),
        (start("web"), restart(UP, "web")),
        "two actions for web-0",
    ),
    "a start of what is not wanted": (
        wanting(DOWN, service("web", state=STOPPED)),
        (start("web"),),
        "it is not wanted",
    ),
    "a start beyond the instances": (
        UP,
        (Start(slot=slot("web", 1), because=WHY),),
        "it is not wanted",
    ),
    "a start in a shutdown": (
        replace(DOWN, shutting_down=True),
        (start("web"),),
        "it is not wanted",
    ),
    "a start of what no manifest defines": (
        wanting(DOWN, service("db")),
        (start("web"),),
        "it is not wanted",
    ),
    "a second process in a slot": (UP, (start("web"),), "its slot is not empty"),
    "a start beside what a main process left behind": (
        changed(UP, "web", process=DEAD, state=State.CRASHED),
        (start("web"),),
        "its slot is not empty",
    ),
    "a start before the last answer": (
        changed(
            DOWN_WITH := having(UP, "web", SlotRecord(memory=record_of(UP, "web").memory)),
            "web",
            pending=PENDING,
        ),
        (start("web"),),
        "an earlier command was not answered",
    ),
    "a start of what is unknown": (
        changed(DOWN_WITH, "web", state=State.UNKNOWN),
        (start("web"),),
        "it is unknown",
    ),
    "a start before the back-off is over": (
        IN_TROUBLE,
        (start("web"),),
        "its back-off is not over",
    ),
    "a start of what was given up": (
        remembering(IN_TROUBLE, "web", trouble=Trouble(failures=9, gave_up=True)),
        (start("web"),),
        "it was given up",
    ),
    "a start of work that is done": (
        converged(oneshot("web")),
        (start("web"),),
        "it ended well and was not asked to run again",
    ),
    "a start without its need": (
        having(having(PAIR, "web", None), "db", None),
        (start("web"),),
        "its need db is not ready",
    ),
    "a start while its need is only started": (
        changed(having(PAIR, "web", None), "db", state=State.STARTING),
        (start("web"),),
        "its need db is not ready",
    ),
    "a start while its need is on its way out": (
        changed(
            having(
                converged(service("web", need("db", Condition.STARTED)), service("db")),
                "web",
                None,
            ),
            "db",
            state=State.STOPPING,
        ),
        (start("web"),),
        "its need db is not started",
    ),
    "a start before the work it needs is done": (
        having(
            remembering(
                converged(service("web", need("db", Condition.COMPLETED)), oneshot("db")),
                "db",
                done=None,
            ),
            "web",
            None,
        ),
        (start("web"),),
        "its need db is not completed",
    ),
    "a start whose need has one slot too few": (
        having(wanting(PAIR, service("web", "db"), service("db", instances=2)), "web", None),
        (start("web"),),
        "its need db is not ready",
    ),
    "a stop of what is wanted": (UP, (stop(UP, "web"),), "it is wanted"),
    "a stop of another process": (
        wanting(UP, service("web", state=STOPPED)),
        (replace(stop(UP, "web"), target=replace(target(UP, "web").id, born=1)),),
        "its target is not what runs there",
    ),
    "a stop of an empty slot": (
        wanting(DOWN, service("web", state=STOPPED)),
        (stop(UP, "web"),),
        "its target is not what runs there",
    ),
    "a second stop": (
        wanting(STOPPING, service("web", state=STOPPED)),
        (stop(UP, "web"),),
        "it is stopping already",
    ),
    "a stop of what is unknown": (
        wanting(changed(UP, "web", state=State.UNKNOWN), service("web", state=STOPPED)),
        (stop(UP, "web"),),
        "it is unknown already",
    ),
    "a stop of what a broken manifest may want": (
        replace(wanting(replace(UP, services={}), invalid=("web",)), services={}),
        (stop(UP, "web"),),
        "its manifest may be one of those that cannot be read",
    ),
    "a stop of what is not known while a manifest is broken": (
        replace(wanting(replace(UP, services={}), invalid=("other",)), services={}),
        (stop(UP, "web"),),
        "its manifest may be one of those that cannot be read",
    ),
    "a stop of what is held": (
        replace(
            wanting(UP),
            prune=PruneHold(id="a", services=(name("web"),), because="all would be removed"),
        ),
        (stop(UP, "web"),),
        "it is wanted",
    ),
    "a restart of what is not wanted": (
        wanting(UP, service("web", state=STOPPED)),
        (restart(UP, "web"),),
        "it is not wanted",
    ),
    "a restart for nothing": (UP, (restart(UP, "web"),), "nothing asks for it"),
    "a restart because a need restarts that it does not follow": (
        wanting(PAIR, service("web", "db"), service("db", edition=2)),
        (restart(PAIR, "web"), restart(PAIR, "db", Wait(service=name("web"), condition=None))),
        "nothing asks for it",
    ),
    "a restart whose successor would miss a need": (
        wanting(having(PAIR, "db", None), service("web", "db", edition=2), service("db")),
        (restart(PAIR, "web"),),
        "its successor would miss db",
    ),
    "a kill of what was not asked": (
        wanting(UP, service("web", state=STOPPED)),
        (kill(UP, "web"),),
        "it was not asked to stop",
    ),
    "a kill before its time": (STOPPING, (kill(UP, "web"),), "its stopTimeout is not over"),
    "a kill in an orderly shutdown": (
        replace(UP, shutting_down=True),
        (kill(UP, "web"),),
        "it was not asked to stop",
    ),
    "a kill of another process": (
        changed(STOPPING, "web", deadline=EARLIER),
        (replace(kill(UP, "web"), target=replace(target(UP, "web").id, pid=1)),),
        "its target is not what runs there",
    ),
    "forgetting what is wanted": (UP, (forget("web"),), "it is wanted"),
    "forgetting what still runs": (wanting(UP, service("db")), (forget("web"),), "not empty"),
    "forgetting what is held": (
        replace(
            wanting(DOWN),
            prune=PruneHold(id="a", services=(name("web"),), because="all would be removed"),
        ),
        (forget("web"),),
        "it is wanted",
    ),
    "an invalid version comes into force": (
        wanting(UP, invalid=("web",)),
        (Update(service=name("web"), fields=("command",), because=WHY),),
        "it is invalid",
    ),
    "nothing comes into force": (
        wanting(UP),
        (Update(service=name("web"), fields=("command",), because=WHY),),
        "to nothing",
    ),
    "a need that ends before its dependent": (
        replace(PAIR, shutting_down=True),
        (stop(PAIR, "db"), stop(PAIR, "web")),
        "db would end before its dependent web",
    ),
    "a need that restarts before its dependent": (
        wanting(PAIR, service("web", "db", edition=2), service("db", edition=2)),
        (restart(PAIR, "db"), restart(PAIR, "web")),
        "db would end before its dependent web",
    ),
    "a need that ends while its dependent is still stopping": (
        changed(replace(PAIR, shutting_down=True), "web", state=State.STOPPING, deadline=LATER),
        (stop(PAIR, "db"),),
        "db would end before its dependent web",
    ),
    "a need that ends before a dependent behind another": (
        having(replace(TRIO, shutting_down=True), "api", None),
        (stop(TRIO, "db"), stop(TRIO, "web")),
        "db would end before its dependent web",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_plan_is_refused(what: str) -> None:
    situation, actions, text = BAD[what]
    faults = judge(Plan(actions=actions), situation)
    assert any(text in fault.text for fault in faults), faults


@pytest.mark.parametrize("what", BAD)
def test_the_planner_makes_a_good_plan_of_the_same_situation(what: str) -> None:
    situation, _, _ = BAD[what]
    assert judge(plan(situation), situation) == ()


GOOD: dict[str, tuple[Situation, tuple[Action, ...]]] = {
    "a start whose wait is not over": (
        having(having(PAIR, "web", None), "db", None),
        (start("db"), start("web", Wait(service=name("db"), condition=Condition.READY))),
    ),
    "a sweep of what a main process left behind": (
        changed(UP, "web", process=DEAD, state=State.CRASHED),
        (stop(UP, "web"),),
    ),
    "a stop of a start that took too long": (
        changed(UP, "web", state=State.STARTING, deadline=NOW),
        (stop(UP, "web"),),
    ),
    "a kill when the time is over": (
        changed(STOPPING, "web", deadline=NOW),
        (kill(UP, "web"),),
    ),
    "a kill in a hurry": (replace(UP, shutting_down=True, hurry=True), (kill(UP, "web"),)),
    "a kill of a stray": (
        replace(UP, strays=(replace(target(UP, "web"), id=replace(target(UP, "web").id, pid=2)),)),
        (replace(kill(UP, "web"), target=replace(target(UP, "web").id, pid=2)),),
    ),
    "a restart with a need that is followed": (
        wanting(
            both := converged(service("web", follows("db")), service("db")),
            service("web", follows("db")),
            service("db", edition=2),
        ),
        (restart(both, "web"), restart(both, "db", Wait(service=name("web"), condition=None))),
    ),
    "a restart that was asked for": (
        replace(UP, services={name("web"): memory_of(service("web"), Nanos(NOW - seconds(1)))}),
        (restart(UP, "web"),),
    ),
    "a start after the back-off of an older version": (
        wanting(IN_TROUBLE, service("web", edition=2)),
        (start("web"),),
    ),
}


@pytest.mark.parametrize("what", GOOD)
def test_a_good_plan_is_accepted(what: str) -> None:
    situation, actions = GOOD[what]
    assert judge(Plan(actions=actions), situation) == ()


def test_what_concerns_a_service_at_fault_is_left_out_and_the_rest_goes_on() -> None:
    situation = wanting(PAIR, service("web", "db", edition=2), service("db", edition=2))
    hold = Hold(service=name("web"), code=HoldCode.STOPPING, because=WHY)
    bad = Plan(actions=(restart(PAIR, "web"), restart(PAIR, "db")), holds=(hold,))
    faults = judge(bad, situation)
    assert {fault.service for fault in faults} == {"db"}
    kept = without_faults(bad, faults)
    assert [action.slot.service for action in kept.actions if isinstance(action, SlotAction)] == [
        "web"
    ]
    assert kept.holds == (hold,)
