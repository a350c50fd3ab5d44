"""How services come up: in order, once their needs hold, and with a reason while they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.model.event import OperationKind
from reconciler.model.observed import State
from reconciler.model.spec import Condition, Need, RestartPolicy, Schedule, ServiceSpec, ServiceType
from reconciler.model.status import Health, Sync
from reconciler.model.units import milliseconds, minutes, seconds
from tests.core.building import STOPPED, need, oneshot, probed, service
from tests.sim.host import Program
from tests.sim.world import World


def test_a_chain_comes_up_needs_first() -> None:
    world = World(service("web", "api"), service("api", "db"), service("db"))
    world.settle()
    assert world.states() == {"db": "running", "api": "running", "web": "running"}
    started = [world.run_of(name).started for name in ("db", "api", "web")]
    assert started == sorted(started)
    assert world.arrives()


def test_independent_services_come_up_in_parallel() -> None:
    world = World(*(service(f"s{index}") for index in range(20)))
    world.settle(within=2)
    assert set(world.states().values()) == {"running"}


def test_every_instance_of_a_need_counts() -> None:
    world = World(probed("web", "db"), probed("db", instances=2), db=Program(ready_after=None))
    world.pass_time(2)
    world.host.runs[world.run_of("db", 0).id].program = Program()
    world.pass_time(2)
    assert world.status("db").slots[0].ready
    assert not world.runs("web")
    world.host.runs[world.run_of("db", 1).id].program = Program()
    world.pass_time(2)
    assert world.state("web") is State.RUNNING


@pytest.mark.parametrize(
    ("cache", "starts_without"),
    [(service("cache", "db"), True), (service("cache"), False)],
)
def test_an_optional_need_that_waits_in_vain_itself_keeps_nobody_waiting(
    cache: ServiceSpec, *, starts_without: bool
) -> None:
    optional = Need(service=cache.name, condition=Condition.READY, required=False)
    slow = Program(ready_after=None)
    world = World(
        service("web", optional),
        replace(cache, ready=probed("cache").ready),
        service("db", state=STOPPED),
        cache=slow,
    )
    world.pass_time(5)
    assert (world.state("web") is State.RUNNING) is starts_without


@pytest.mark.parametrize(
    ("condition", "may_start"),
    [(Condition.STARTED, True), (Condition.READY, False), (Condition.COMPLETED, False)],
)
def test_a_dependent_waits_for_the_condition_it_names(
    condition: Condition, may_start: bool
) -> None:
    never_ready = Program(ready_after=None)
    world = World(service("web", need("db", condition)), probed("db"), db=never_ready)
    world.pass_time(5)
    assert bool(world.runs("web")) == may_start


def test_a_need_that_is_never_ready_holds_its_dependents_and_they_say_so() -> None:
    world = World(service("web", "db"), probed("db"), db=Program(ready_after=None))
    world.pass_time(5)
    web = world.status("web")
    assert web.state is State.STOPPED
    assert web.reason == "waiting for db to be ready (starting: connection refused)"
    assert web.reason_code == "DependencyNotReady"
    assert [str(wait) for wait in web.waiting_for] == ["db: ready"]
    assert web.health is Health.PROGRESSING
    assert world.reason("db") == "connection refused"


def test_a_branch_that_fails_does_not_hold_the_others() -> None:
    world = World(
        service("web", "db"),
        service("db", max_restarts=0),
        service("worker", "queue"),
        service("queue"),
        db=Program(cannot_run="no such file"),
    )
    world.settle()
    assert world.states() == {
        "db": "crashed",
        "queue": "running",
        "web": "stopped",
        "worker": "running",
    }
    assert world.reason("web") == "waiting for db to be ready (gave up: no such file)"


def test_what_waits_for_something_hopeless_is_at_rest_however_far_away_that_is() -> None:
    world = World(
        service("web", "api"),
        service("api", "db"),
        service("db", max_restarts=0),
        db=Program(cannot_run="no such file"),
    )
    world.settle(within=10)
    assert world.reason("web") == "waiting for api to be ready (not started yet)"
    assert world.status("web").sync is Sync.OUT_OF_SYNC


def test_v24_what_starts_already_may_come_although_its_own_need_is_gone() -> None:
    slow = Program(ready_after=seconds(20))
    world = World(service("top", "web"), probed("web", "db"), service("db"), web=slow)
    world.until(lambda: bool(world.runs("web")))
    world.save(service("top", "web"), probed("web", "db"), service("db", state=STOPPED))
    world.pass_time(5)
    assert world.reason("top") == "waiting for web to be ready (starting: connection refused)"
    assert world.status("top").health is Health.PROGRESSING
    assert not world.picture.converged
    world.settle()
    assert world.state("top") is State.RUNNING


def test_a_need_that_is_wanted_stopped_holds_its_dependents() -> None:
    world = World(service("web", "db"), service("db", state=STOPPED))
    world.settle()
    assert world.reason("web") == "waiting for db to be ready (its manifest says stopped)"
    assert world.state("db") is State.STOPPED
    assert world.status("db").health is Health.STOPPED


def test_a_need_that_nobody_defines_holds_its_dependents() -> None:
    world = World(service("web", "db"))
    world.settle()
    assert world.reason("web") == "waiting for db to be ready (no manifest defines it)"


def test_a_service_without_a_readiness_is_ready_a_second_after_its_start() -> None:
    world = World(service("web"))
    world.pass_time(0.9)
    assert world.state("web") is State.STARTING
    world.pass_time(0.2)
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].ready


def test_a_probed_service_is_asked_until_it_is_ready() -> None:
    world = World(probed("web"), web=Program(ready_after=seconds(2)))
    world.pass_time(1.9)
    assert world.status("web").slots[0].reason == "connection refused"
    world.pass_time(0.5)
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].reason == "ready after 2.0 s"


def test_a_start_that_takes_too_long_is_stopped_and_counts_as_a_failure() -> None:
    world = World(probed("web", start_timeout=seconds(3)), web=Program(ready_after=None))
    world.until(lambda: bool(world.happened("service.crashed")))
    reason = "not ready within its startTimeout: connection refused"
    assert world.happened("service.crashed") == [reason]
    run = world.runs("web")[0]
    assert run.exit is not None
    assert run.exit.signal == "SIGTERM"
    assert world.reason("web") == f"{reason}; failure 1, waiting before the next start"
    world.pass_time(1.5)
    assert len(world.runs("web")) == 2


def test_who_never_says_that_it_is_ready_is_told_what_was_waited_for() -> None:
    mute = service("web", type=ServiceType.NOTIFY, start_timeout=seconds(3))
    world = World(mute, web=Program(ready_after=None))
    world.until(lambda: bool(world.happened("service.crashed")))
    assert world.happened("service.crashed") == [
        "not ready within its startTimeout: it sent no READY=1 to NOTIFY_SOCKET"
    ]


def test_time_spent_waiting_for_needs_does_not_count_as_starting() -> None:
    world = World(
        probed("web", "db", start_timeout=seconds(3)),
        probed("db"),
        db=Program(ready_after=seconds(30)),
    )
    world.settle()
    assert len(world.runs("web")) == 1


# --- oneshots --------------------------------------------------------------------------------


def test_a_oneshot_runs_once_and_its_dependents_follow() -> None:
    work = Program(lives_for=seconds(5))
    world = World(oneshot("prepare"), service("web", "prepare"), prepare=work)
    world.pass_time(4)
    assert world.state("prepare") is State.RUNNING
    assert world.reason("web") == "waiting for prepare to be ready (at work)"
    world.settle()
    prepare = world.status("prepare")
    assert (prepare.state, prepare.health, prepare.sync) == (
        State.STOPPED,
        Health.HEALTHY,
        Sync.SYNCED,
    )
    assert (prepare.reason, prepare.reason_code) == ("completed (0)", "Completed")
    assert world.happened("service.completed") == ["completed (0)"]
    assert world.state("web") is State.RUNNING
    assert world.arrives()
    assert len(world.runs("prepare")) == 1


def test_a_oneshot_that_fails_is_tried_again() -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=seconds(1), code=3))
    world.pass_time(2)
    assert world.state("prepare") is State.CRASHED
    world.become(prepare=Program(lives_for=seconds(1)))
    world.settle()
    assert world.reason("prepare") == "completed (0)"
    assert len(world.runs("prepare")) == 2


def test_a_oneshot_that_must_not_be_tried_again_stays_failed() -> None:
    failing = Program(lives_for=seconds(1), code=3)
    world = World(oneshot("prepare", restart=RestartPolicy.NEVER), prepare=failing)
    world.settle()
    assert world.state("prepare") is State.CRASHED
    assert world.status("prepare").health is Health.DEGRADED
    assert world.arrives()


def test_a_oneshot_without_a_start_timeout_may_take_as_long_as_it_likes() -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=seconds(400)))
    world.settle()
    assert world.reason("prepare") == "completed (0)"


def test_the_start_timeout_of_a_oneshot_bounds_its_whole_run() -> None:
    slow = Program(lives_for=seconds(400))
    world = World(oneshot("prepare", start_timeout=seconds(20), max_restarts=0), prepare=slow)
    world.settle()
    assert world.state("prepare") is State.CRASHED
    assert world.happened("service.gave-up") == ["not done within its startTimeout"]
    run = world.runs("prepare")[0]
    assert run.exit is not None
    assert run.exit.at - run.started < seconds(21)


def test_a_oneshot_that_is_done_before_its_start_is_answered_counts() -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=milliseconds(0)))
    world.settle()
    assert world.reason("prepare") == "completed (0)"
    assert len(world.runs("prepare")) == 1


def after_digest_change(world: World) -> None:
    world.save(oneshot("prepare", edition=2))


def after_restart(world: World) -> None:
    world.ask(OperationKind.RESTART, "prepare")


def after_down_and_up(world: World) -> None:
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    world.kill_daemon()


@pytest.mark.parametrize(
    ("what", "runs"),
    [
        (World.kill_daemon, 1),
        (after_digest_change, 2),
        (after_restart, 2),
        (after_down_and_up, 2),
        (World.reboot, 2),
    ],
)
def test_a_completed_oneshot_runs_again_only_when_it_should(
    what: Callable[[World], None], runs: int
) -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=seconds(1)))
    world.settle()
    world.pass_time(60)
    what(world)
    world.settle()
    assert len(world.runs("prepare")) == runs
    assert world.reason("prepare") == "completed (0)"
    assert world.arrives()


def test_a_run_of_a_schedule_is_told_by_its_start_and_its_end_and_history_has_it_all() -> None:
    world = World(
        oneshot("job", schedule=Schedule(every=minutes(1))), oneshot("once"), service("web")
    )
    world.pass_time(130)
    told = [one.kind for step in world.decisions for one in step.happenings if one.service == "job"]
    assert told == ["service.registered", *(["service.starting", "service.completed"] * 2)]
    assert world.happened("service.ready", "once") == ["at work"]
    moves = [
        (str(one.before), str(one.after))
        for step in world.decisions
        for one in step.transitions
        if one.slot.service == "job"
    ]
    assert moves[:3] == [("stopped", "starting"), ("starting", "running"), ("running", "stopped")]
