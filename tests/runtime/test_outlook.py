"""Where services are on their way, by rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.diagnostic import Diagnostic
from reconciler.model.health import CheckType, HealthCheck, Verdict
from reconciler.model.observed import State
from reconciler.model.record import Rollout, RolloutPhase
from reconciler.model.spec import Condition
from reconciler.model.status import Health, Picture, ServiceStatus, Sync
from reconciler.model.units import Nanos, ServiceName
from reconciler.runtime.outlook import (
    Aim,
    Outlook,
    cannot_reach,
    concerns,
    has_reached,
    judge,
)
from reconciler.runtime.requests import Goal
from tests.runtime.pictures import (
    completed,
    down,
    picture,
    running,
    situation,
    stopped,
    waiting,
)

WEB = ServiceName("web")
THERE, COMING, STUCK = Outlook.THERE, Outlook.COMING, Outlook.STUCK


def kept_away(
    phase: RolloutPhase = RolloutPhase.PAUSED, code: str = "Quarantined"
) -> ServiceStatus:
    """Give a service whose former version serves in the place of one that failed."""
    status = running("web")
    assert status.spec
    base, zero = status.spec, Nanos(0)
    rollout = Rollout(to=base, base=base, since=zero, began=zero, phase=phase, failed=True)
    return replace(status, sync=Sync.OUT_OF_SYNC, reason_code=code, rollout=rollout)


def never_good() -> ServiceStatus:
    """Give a service that nobody could read yet."""
    status = stopped("web")
    fault = Diagnostic(source=status.source, code="W201", message="m")
    return replace(status, spec=None, desired=None, sync=Sync.INVALID, invalid=(fault,), slots=())


def with_helper() -> ServiceStatus:
    """Give a service with an instance more than it is to have."""
    status = running("web")
    [own] = status.slots
    return replace(status, slots=(own, replace(own, slot=replace(own.slot, index=1))))


@pytest.mark.parametrize(
    ("phase", "outlook"), [(RolloutPhase.UNDONE, THERE), (RolloutPhase.PAUSED, STUCK)]
)
def test_who_takes_a_version_back_waits_for_the_one_before(
    phase: RolloutPhase, outlook: Outlook
) -> None:
    status = kept_away(phase)
    found = judge(picture(status), situation({}), [WEB], Aim(undoes_rollout=True))
    assert found[WEB].outlook is outlook
    found = judge(picture(status), situation({}), [WEB], Aim())
    assert found[WEB].outlook is STUCK


@pytest.mark.parametrize(
    ("status", "failures", "outlook"),
    [
        pytest.param(running("web"), 0, THERE, id="running"),
        pytest.param(stopped("web"), 0, THERE, id="wanted stopped"),
        pytest.param(completed("web"), 0, THERE, id="completed"),
        pytest.param(running("web", oneshot=True), 0, COMING, id="a oneshot at work"),
        pytest.param(down("web", state=State.STARTING, code=""), 0, COMING, id="starting"),
        pytest.param(down("web"), 1, COMING, id="failed once"),
        pytest.param(down("web"), 3, STUCK, id="failed three times"),
        pytest.param(down("web", code="GaveUp"), 1, STUCK, id="gave up"),
        pytest.param(
            replace(running("web"), sync=Sync.OUT_OF_SYNC, reason_code="Quarantined"),
            0,
            STUCK,
            id="the new version failed",
        ),
        pytest.param(
            replace(running("web"), sync=Sync.OUT_OF_SYNC, reason_code="RolloutPaused"),
            0,
            STUCK,
            id="its rollout is paused",
        ),
        pytest.param(replace(running("web"), sync=Sync.INVALID), 0, STUCK, id="invalid"),
        pytest.param(replace(running("web"), sync=Sync.HELD), 0, STUCK, id="held"),
        pytest.param(kept_away(), 0, STUCK, id="its version failed"),
        pytest.param(kept_away(code="RolloutPaused"), 0, STUCK, id="its rollout is paused"),
        pytest.param(kept_away(code="RollingOut"), 0, COMING, id="its rollout goes on"),
        pytest.param(
            replace(running("web"), health=Health.PROGRESSING), 0, COMING, id="progressing"
        ),
        pytest.param(
            replace(stopped("web"), slots=running("web").slots), 0, COMING, id="runs on, unwanted"
        ),
        pytest.param(never_good(), 0, STUCK, id="its manifest was never valid"),
        pytest.param(with_helper(), 0, COMING, id="an instance too many stops yet"),
    ],
)
def test_a_service_is_there_or_coming_or_stuck(
    status: ServiceStatus, failures: int, outlook: Outlook
) -> None:
    found = judge(picture(status), situation({"web": failures}), [WEB], Aim())
    assert found[WEB].outlook is outlook


def test_one_that_could_not_even_be_executed_is_stuck_at_once() -> None:
    never = situation({"web": 1}, executed=False)
    assert judge(picture(down("web")), never, [WEB], Aim())[WEB].outlook is STUCK


def test_one_that_failed_too_often_is_stuck_once_all_of_it_has_ended() -> None:
    ending = situation({"web": 3}, left_behind=True)
    assert judge(picture(down("web")), ending, [WEB], Aim())[WEB].outlook is COMING


def test_one_that_is_gone_is_there() -> None:
    assert judge(picture(), situation({}), [WEB], Aim())[WEB].outlook is THERE


def test_a_oneshot_at_work_counts_where_nobody_waits_for_its_end() -> None:
    at_work = picture(running("web", oneshot=True))
    aim = Aim(finishes_oneshots=False)
    assert judge(at_work, situation({}), [WEB], aim)[WEB].outlook is THERE


@pytest.mark.parametrize(
    ("status", "outlook"),
    [
        (running("web", started=900), THERE),
        (running("web", started=700), COMING),
        (completed("web", at=900), THERE),
        (completed("web", at=700), COMING),
    ],
)
def test_after_a_restart_only_younger_processes_count(
    status: ServiceStatus, outlook: Outlook
) -> None:
    found = judge(picture(status), situation({}), [WEB], Aim(since=Nanos(800)))
    assert found[WEB].outlook is outlook


@pytest.mark.parametrize(
    "held",
    [{"sync": Sync.INVALID}, {"sync": Sync.UNKNOWN}, {"reason_code": "PruneHeld"}],
    ids=["invalid", "not read", "to be removed"],
)
@pytest.mark.parametrize(("started", "outlook"), [(900, THERE), (700, COMING)])
def test_a_restart_is_done_though_its_manifest_is_not_followed(
    held: dict[str, Any], started: int, outlook: Outlook
) -> None:
    status = replace(running("web", started=started), **{"sync": Sync.HELD, **held})
    found = judge(picture(status), situation({}), [WEB], Aim(since=Nanos(800)))
    assert found[WEB].outlook is outlook
    gone = picture(replace(down("web"), **{"sync": Sync.HELD, **held}))
    assert judge(gone, situation({"web": 3}), [WEB], Aim(since=Nanos(800)))[WEB].outlook is STUCK


def test_who_waits_for_one_that_is_stuck_is_stuck_and_says_so() -> None:
    seen = picture(waiting("web", "api"), waiting("api", "db"), down("db", reason="no luck"))
    found = judge(seen, situation({"db": 3}), [WEB], Aim())[WEB]
    assert (found.outlook, found.because) == (STUCK, "needs api: needs db: no luck")


@pytest.mark.parametrize(
    ("need", "outlook"),
    [
        (running("db"), COMING),
        (down("db", state=State.STARTING), COMING),
        (stopped("db"), STUCK),
        (None, STUCK),
    ],
)
def test_a_wait_is_in_vain_when_nobody_starts_the_need(
    need: ServiceStatus | None, outlook: Outlook
) -> None:
    seen = picture(waiting("web", "db"), *([need] if need else []))
    assert judge(seen, situation({}), [WEB], Aim())[WEB].outlook is outlook


def test_waiting_for_a_dependent_to_end_is_no_dead_end() -> None:
    seen = picture(waiting("web", "api", condition=None), stopped("api"))
    assert judge(seen, situation({}), [WEB], Aim())[WEB].outlook is COMING


def test_services_that_wait_for_each_other_do_not_go_round_for_ever() -> None:
    seen = picture(waiting("web", "api"), waiting("api", "web"))
    assert judge(seen, situation({}), [WEB], Aim())[WEB].outlook is COMING


@pytest.mark.parametrize(
    ("blind", "because"),
    [
        (picture(down("web"), host_unseen="no holder"), "no holder"),
        (picture(down("web"), source_held="a rebase"), "a rebase"),
    ],
)
def test_nobody_is_stuck_while_the_view_is_blocked(blind: Picture, because: str) -> None:
    found = judge(blind, situation({"web": 9}), [WEB], Aim())[WEB]
    assert (found.outlook, found.because) == (COMING, because)


@pytest.mark.parametrize(
    ("goal", "meant"),
    [
        (Goal.READY, {"running", "completed"}),
        (Goal.COMPLETED, {"completed"}),
        (Goal.STOPPED, {"running", "stopped", "completed"}),
    ],
)
def test_all_means_those_that_the_goal_is_for(goal: Goal, meant: set[str]) -> None:
    cases = {"running": running("web"), "stopped": stopped("web"), "completed": completed("web")}
    assert {name for name, status in cases.items() if concerns(status, goal)} == meant


@pytest.mark.parametrize(
    ("verdict", "reached"),
    [
        (Verdict.UNKNOWN, False),
        (Verdict.FAILING, False),
        (Verdict.HEALTHY, True),
    ],
)
def test_what_is_checked_is_healthy_once_its_check_has_passed(
    verdict: Verdict, reached: bool
) -> None:
    status = running("web")
    assert status.spec is not None
    checked = replace(
        status,
        spec=replace(status.spec, health=HealthCheck(type=CheckType.TCP)),
        slots=(replace(status.slots[0], verdict=verdict),),
    )
    assert has_reached(checked, Goal.HEALTHY) is reached


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal.RUNNING, {"running", "unready", "completed"}),
        (Goal.READY, {"running", "completed"}),
        (Goal.HEALTHY, {"running", "unready", "completed"}),
        (Goal.COMPLETED, {"completed"}),
        (Goal.STOPPED, {"stopped", "completed"}),
        (Goal.SYNCED, {"running", "unready", "stopped", "completed"}),
    ],
)
def test_goals_are_reached_by_these(goal: Goal, reached: set[str]) -> None:
    unready = running("web")
    cases = {
        "running": running("web"),
        "unready": replace(unready, slots=(replace(unready.slots[0], ready=False),)),
        "stopped": stopped("web"),
        "completed": completed("web"),
        "crashed": down("web"),
    }
    assert {name for name, status in cases.items() if has_reached(status, goal)} == reached


@pytest.mark.parametrize(
    ("status", "goal", "why"),
    [
        (running("web"), Goal.COMPLETED, "it is no oneshot, so it never completes"),
        (running("web"), Goal.STOPPED, "its manifest says running"),
        (stopped("web"), Goal.READY, "its manifest says stopped"),
        (down("web", code="GaveUp", reason="no luck"), Goal.RUNNING, "no luck"),
        (down("web"), Goal.RUNNING, ""),
        (running("web", oneshot=True), Goal.COMPLETED, ""),
        (waiting("web", "db", condition=Condition.STARTED), Goal.RUNNING, ""),
        (replace(kept_away(), reason="it failed"), Goal.SYNCED, "it failed"),
        (replace(kept_away(), reason="it failed"), Goal.HEALTHY, "it failed"),
        (replace(kept_away(), reason="it failed"), Goal.READY, ""),
    ],
)
def test_some_goals_are_out_of_reach(status: ServiceStatus, goal: Goal, why: str) -> None:
    assert cannot_reach(status, goal) == why
