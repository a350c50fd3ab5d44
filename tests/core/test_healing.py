"""Degraded and back: what the checks of a process lead to, once in an episode."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.model.event import HealthTold, OperationKind, Probe, ProbeAnswered, Signal, Spawn
from reconciler.model.health import CheckType, HealthCheck, OnUnhealthy, Verdict
from reconciler.model.observed import State
from reconciler.model.plan import HoldCode
from reconciler.model.spec import Condition, Need, ReloadWay, ServiceSpec, ServiceType
from reconciler.model.status import Health, Sync
from reconciler.model.units import RunId, Serial, minutes, seconds
from tests.core.building import STOPPED, need, oneshot, probed, service, slot
from tests.sim.machine import Program
from tests.sim.world import World

CHECK = HealthCheck(type=CheckType.HTTP)
RESTART, RELOAD, ALERT = OnUnhealthy.RESTART, OnUnhealthy.RELOAD, OnUnhealthy.ALERT
HEALTHY, FAILING, DEGRADED = Verdict.HEALTHY, Verdict.FAILING, Verdict.DEGRADED


def checked(text: str, *needs: str | Need, **fields: Any) -> ServiceSpec:
    return service(text, *needs, health=CHECK, **fields)


def running(*specs: ServiceSpec) -> World:
    world = unchecked(*specs)
    world.settle()
    return world


def unchecked(*specs: ServiceSpec) -> World:
    """Give a world whose daemons check nothing by themselves: verdicts are told by the test."""
    world = World(*specs)
    world.is_checking = False
    return world


def tell(
    world: World,
    verdict: Verdict,
    text: str = "web",
    index: int = 0,
    *,
    run: str = "",
    because: str = "refused",
) -> None:
    """Tell a verdict about what runs in a slot, or about another run."""
    of = RunId(run) if run else world.run_of(text, index).id
    reason = "" if verdict is HEALTHY else because
    world.tell(HealthTold(slot=slot(text, index), run=of, verdict=verdict, reason=reason))
    world.pass_time(0)


def spawns(world: World, text: str = "web") -> int:
    return sum(
        isinstance(command, Spawn) and command.slot.service == text
        for decision in world.decisions
        for command in decision.commands
    )


def test_a_check_beyond_its_threshold_degrades_and_its_passing_brings_back() -> None:
    world = running(checked("web"))
    tell(world, DEGRADED)
    status = world.status("web")
    assert status.state is State.DEGRADED
    assert status.health is Health.DEGRADED
    assert status.sync is Sync.SYNCED
    assert status.reason == "refused"
    assert status.reason_code == HoldCode.UNHEALTHY
    assert world.picture.converged, "there is nothing to be done about it"
    world.pass_time(3)
    tell(world, HEALTHY)
    assert world.state("web") is State.RUNNING
    assert world.happened("service.degraded") == ["refused"]
    assert world.happened("service.recovered") == ["its check passes again after 3.0 s"]
    assert spawns(world) == 1


def test_a_verdict_about_another_run_is_dropped() -> None:
    world = running(checked("web"))
    old = world.run_of("web").id
    world.end("web", code=1)
    world.settle()
    tell(world, DEGRADED, run=old)
    tell(world, DEGRADED, run="never-heard-of")
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].verdict is Verdict.UNKNOWN


def test_a_verdict_about_a_service_without_a_check_is_dropped() -> None:
    world = running(service("web"))
    tell(world, DEGRADED)
    assert world.state("web") is State.RUNNING


def test_the_same_verdict_told_again_is_no_news() -> None:
    world = running(checked("web", on_unhealthy=ALERT))
    for _ in range(3):
        tell(world, DEGRADED)
    assert len(world.happened("service.degraded")) == 1
    assert len(world.happened("health.alert")) == 1


def test_one_that_fails_its_checks_before_it_is_ready_is_degraded_once_it_is() -> None:
    """Readiness is none of the check's business, nor the other way round."""
    world = unchecked(probed("web", health=CHECK))
    world.host.delays["Probe"] = seconds(5)
    world.until(lambda: bool(world.runs("web")))
    world.pass_time(0.1)
    tell(world, DEGRADED)
    assert world.state("web") is State.STARTING
    world.settle()
    assert world.state("web") is State.DEGRADED
    assert len(world.happened("service.ready")) == 1


def test_a_new_daemon_finds_it_degraded_and_says_so_no_second_time() -> None:
    world = running(checked("web", on_unhealthy=ALERT))
    tell(world, DEGRADED)
    world.kill_daemon(down_for=60)
    world.settle()
    assert world.state("web") is State.DEGRADED
    assert world.reason("web") == "refused"
    assert world.status("web").slots[0].verdict is DEGRADED
    assert len(world.happened("service.degraded")) == 1
    assert len(world.happened("health.alert")) == 1
    tell(world, HEALTHY)
    assert world.state("web") is State.RUNNING


def test_a_holder_out_of_sight_changes_nothing_about_it() -> None:
    world = running(checked("web"))
    tell(world, DEGRADED)
    world.lose_holder(seconds_long=20)
    world.pass_time(10)
    assert world.state("web") is State.UNKNOWN
    world.pass_time(30)
    assert world.state("web") is State.DEGRADED


def test_a_check_that_is_removed_degrades_nobody_any_more() -> None:
    world = running(checked("web"))
    tell(world, DEGRADED)
    world.save(service("web"))
    world.pass_time(1)
    assert world.state("web") is State.RUNNING
    assert world.happened("service.recovered") == ["its manifest has no healthCheck any more"]
    world.save(checked("web"))
    world.settle()
    assert world.state("web") is State.RUNNING
    assert spawns(world) == 1


def test_one_that_says_it_stops_is_not_degraded_for_that() -> None:
    world = running(checked("web", on_unhealthy=RESTART, type=ServiceType.NOTIFY))
    world.host.machine.say(world.run_of("web"), "STOPPING=1")
    world.pass_time(0.1)
    tell(world, DEGRADED)
    assert world.state("web") is State.RUNNING
    assert world.happened("service.degraded") == []


# --- onUnhealthy: restart --------------------------------------------------------------------


def test_restart_replaces_it_once_and_counts_as_a_restart_not_as_a_crash() -> None:
    world = running(checked("web", on_unhealthy=RESTART))
    first = world.run_of("web").id
    tell(world, DEGRADED)
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.run_of("web").id != first
    (status,) = world.status("web").slots
    assert status.restarts == 1
    assert spawns(world) == 2
    causes = [
        told.data.get("cause")
        for decision in world.decisions
        for told in decision.happenings
        if told.kind == "service.starting"
    ]
    assert causes == ["start", "health"]
    assert world.happened("service.crashed") == []


def test_each_further_restart_in_a_row_waits_longer_also_for_the_next_daemon() -> None:
    world = running(checked("web", on_unhealthy=RESTART))
    waits = []
    for _ in range(4):
        began = world.now
        run = world.run_of("web").id
        tell(world, DEGRADED)
        world.kill_daemon()
        _until_replaced(world, run)
        waits.append((world.now - began) // seconds(1))
        world.settle()
    assert waits == [0, 1, 2, 4]


def _until_replaced(world: World, run: RunId) -> None:
    world.until(lambda: world.runs("web")[-1].id != run)


def test_one_that_gets_well_while_it_waits_is_left_alone() -> None:
    world = running(checked("web", on_unhealthy=RESTART))
    for _ in range(3):
        tell(world, DEGRADED)
        world.settle()
    run = world.run_of("web").id
    tell(world, DEGRADED)
    world.pass_time(1)
    tell(world, HEALTHY)
    world.pass_time(60)
    assert world.run_of("web").id == run


def test_a_long_time_in_good_health_lets_it_begin_anew() -> None:
    world = running(checked("web", on_unhealthy=RESTART))
    for _ in range(3):
        tell(world, DEGRADED)
        world.settle()
    tell(world, HEALTHY)
    world.pass_time(301)
    run = world.run_of("web").id
    tell(world, DEGRADED)
    world.pass_time(0.5)
    assert world.runs("web")[-1].id != run


def test_max_restarts_in_a_row_leave_it_running_as_it_is() -> None:
    world = running(checked("web", on_unhealthy=RESTART, max_restarts=2))
    for _ in range(3):
        tell(world, DEGRADED)
        world.settle()
    assert world.state("web") is State.DEGRADED
    assert spawns(world) == 3
    (said,) = world.happened("health.gave-up")
    assert said == "refused; it runs on, 2 restarts in a row did not help"
    assert world.reason("web") == "refused; 2 restarts did not help; mend: weaver restart web"
    assert world.picture.converged
    world.ask(OperationKind.RESTART, "web")
    world.settle()
    tell(world, DEGRADED)
    world.settle()
    assert world.state("web") is State.RUNNING, "who asks for a restart lets it begin anew"
    assert spawns(world) == 5


def test_of_several_slots_one_is_restarted_after_the_other() -> None:
    world = running(checked("web", instances=3, on_unhealthy=RESTART))
    for index in range(3):
        run = world.run_of("web", index).id
        event = HealthTold(slot=slot("web", index), run=run, verdict=DEGRADED, reason="refused")
        world.tell(event)
    fewest = 3
    for _ in range(40):
        world.step()
        up = sum(one.state in (State.RUNNING, State.DEGRADED) for one in world.status("web").slots)
        fewest = min(fewest, up)
    world.settle()
    assert spawns(world) == 6
    assert fewest == 2
    assert world.state("web") is State.RUNNING


def test_it_is_not_restarted_while_what_it_needs_is_missing() -> None:
    world = running(service("db"), checked("web", "db", on_unhealthy=RESTART))
    run = world.run_of("web").id
    world.save(service("db", state=STOPPED), checked("web", "db", on_unhealthy=RESTART))
    world.pass_time(5)
    tell(world, DEGRADED)
    world.pass_time(5)
    assert world.run_of("web").id == run
    assert "runs on as it was, waiting for db to be ready" in world.reason("web")


def test_one_of_two_that_is_degraded_is_shown_while_both_are_to_stop() -> None:
    world = unchecked(checked("web", instances=2), service("app", "web"))
    world.become(app=Program(ends_in=seconds(5)))
    world.settle()
    tell(world, DEGRADED, "web", 1)
    assert world.reason("web") == "web-1: refused"
    world.ask(OperationKind.SHUTDOWN)
    world.pass_time(2)
    assert world.state("web") is State.DEGRADED


def test_a_crash_while_degraded_is_a_crash_like_any_other() -> None:
    world = running(checked("web"))
    tell(world, DEGRADED)
    world.end("web", code=1)
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.happened("service.crashed") == ["exited with 1"]


# --- onUnhealthy: reload, alert --------------------------------------------------------------


def test_reload_reloads_it_once_in_an_episode_and_once_in_a_window() -> None:
    spec = checked("web", on_unhealthy=RELOAD, reload=ReloadWay(signal="SIGHUP"))
    world = running(spec)
    tell(world, DEGRADED)
    world.pass_time(30)
    assert _hups(world) == 1
    assert world.happened("service.reloading") == ["refused (onUnhealthy: reload)"]
    tell(world, HEALTHY)
    world.pass_time(1)
    tell(world, DEGRADED)
    world.pass_time(30)
    assert _hups(world) == 1
    assert world.state("web") is State.DEGRADED
    world.pass_time(300)
    assert _hups(world) == 2
    assert spawns(world) == 1


def _hups(world: World) -> int:
    return sum(
        isinstance(command, Signal) and command.signal == "SIGHUP"
        for decision in world.decisions
        for command in decision.commands
    )


def test_an_alert_is_told_once_in_a_window_however_it_comes_and_goes() -> None:
    world = running(checked("web", on_unhealthy=ALERT))
    for _ in range(10):
        tell(world, DEGRADED)
        world.pass_time(10)
        tell(world, HEALTHY)
        world.pass_time(10)
    assert len(world.happened("health.alert")) == 1
    tell(world, DEGRADED)
    world.pass_time(minutes(5) / seconds(1))
    assert world.happened("health.alert") == ["refused", "refused"]


def test_who_asks_for_a_restart_is_not_alerted_once_more() -> None:
    world = running(checked("web", on_unhealthy=ALERT))
    tell(world, DEGRADED)
    world.ask(OperationKind.RESTART, "web")
    world.settle()
    assert len(world.happened("health.alert")) == 1


def test_single_failures_are_told_at_most_once_a_minute_and_change_no_state() -> None:
    world = running(checked("web"))
    for _ in range(9):
        tell(world, FAILING)
        world.pass_time(5)
        tell(world, HEALTHY)
        world.pass_time(5)
    assert world.state("web") is State.RUNNING
    assert len(world.happened("health.failed")) == 2
    assert len(world.happened("health.ok")) == 2


# --- dependsOn: healthy ----------------------------------------------------------------------


def test_a_dependent_waits_until_its_need_was_healthy_once() -> None:
    world = unchecked(checked("db"), service("web", need("db", Condition.HEALTHY)))
    world.pass_time(5)
    assert world.states() == {"db": "running", "web": "stopped"}
    assert world.reason("web") == "waiting for db to be healthy (not checked yet)"
    tell(world, FAILING, "db", because="no route")
    assert world.reason("web") == "waiting for db to be healthy (no route)"
    tell(world, HEALTHY, "db")
    world.settle()
    assert world.states() == {"db": "running", "web": "running"}
    tell(world, DEGRADED, "db")
    world.end("web", code=1)
    world.settle()
    assert world.states() == {"db": "degraded", "web": "running"}, "once is enough"


def test_it_was_healthy_for_the_next_daemon_as_well_but_not_for_the_next_process() -> None:
    world = unchecked(checked("db"), service("web", need("db", Condition.HEALTHY)))
    world.pass_time(5)
    tell(world, HEALTHY, "db")
    world.kill_daemon()
    world.settle()
    assert world.states() == {"db": "running", "web": "running"}
    world.end("db", code=1)
    world.pass_time(10)
    world.end("web", code=1)
    world.pass_time(10)
    assert world.state("web") is not State.RUNNING
    tell(world, HEALTHY, "db")
    world.settle()
    assert world.state("web") is State.RUNNING


def test_a_dependent_is_told_when_its_need_is_healthy_again() -> None:
    world = unchecked(checked("db"), service("web", need("db", Condition.HEALTHY)))
    world.pass_time(5)
    tell(world, HEALTHY, "db")
    world.settle()
    world.end("db", code=1)
    world.pass_time(10)
    assert world.reason("web") == "runs without db (not checked yet)"
    assert len(world.happened("dependency.lost")) == 1
    tell(world, HEALTHY, "db")
    assert world.happened("dependency.back") == ["db is there again"]
    assert world.reason("web") == ""


@pytest.mark.parametrize(
    ("on_unhealthy", "goes_on"),
    [(OnUnhealthy.NONE, True), (OnUnhealthy.RESTART, False)],
)
def test_a_need_that_is_not_required_is_waited_for_while_something_is_done_about_it(
    on_unhealthy: OnUnhealthy, *, goes_on: bool
) -> None:
    wanted = Need(service=service("db").name, condition=Condition.HEALTHY, required=False)
    world = unchecked(checked("db", on_unhealthy=on_unhealthy), service("web", wanted))
    world.pass_time(5)
    assert world.state("web") is State.STOPPED
    tell(world, DEGRADED, "db")
    world.pass_time(5)
    assert (world.state("web") is State.RUNNING) is goes_on


def test_healthy_of_what_has_no_check_is_ready_and_of_a_oneshot_that_it_is_done() -> None:
    """The commands refuse it; a version of before may still come into force."""
    world = unchecked(
        service("db"),
        oneshot("prep"),
        service("web", need("db", Condition.HEALTHY), need("prep", Condition.HEALTHY)),
    )
    world.settle()
    assert world.state("web") is State.RUNNING


def test_readiness_is_asked_for_once_however_it_comes_and_goes() -> None:
    """What is ready stays ready: whether it still serves is for its check to say."""
    world = running(probed("web", health=CHECK))
    run = world.run_of("web")
    for passed in (False, True, False):
        answer = ProbeAnswered(serial=Serial(99), slot=run.slot, run=run.id, passed=passed)
        world.tell(answer)
        world.pass_time(100)
    probes = [one for step in world.decisions for one in step.commands if isinstance(one, Probe)]
    assert len(probes) == 1
    assert len(world.happened("service.ready")) == 1
    assert world.state("web") is State.RUNNING
