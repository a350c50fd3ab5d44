"""What follows when a process ends by itself: back-off, counts, giving up, or nothing."""

from __future__ import annotations

import pytest

from reconciler.model.event import Exited, OperationKind
from reconciler.model.observed import State
from reconciler.model.spec import Backoff, RestartPolicy
from reconciler.model.status import Health
from reconciler.model.units import Nanos, minutes, seconds
from tests.core.building import STEADY, STOPPED, TCP, follows, oneshot, probed, service
from tests.sim.host import Program
from tests.sim.world import World

ALWAYS, ON_FAILURE, NEVER = RestartPolicy.ALWAYS, RestartPolicy.ON_FAILURE, RestartPolicy.NEVER


def gaps(world: World, service_name: str) -> list[float]:
    """Give the seconds between the end of each run and the start of the next."""
    runs = world.runs(service_name)
    ends = [run.exit.at for run in runs[:-1] if run.exit is not None]
    starts = [run.started for run in runs[1:]]
    return [(start - end) / seconds(1) for start, end in zip(starts, ends, strict=True)]


def test_a_crash_is_restarted_after_its_back_off_and_counted() -> None:
    world = World(service("web"), service("other"))
    world.settle()
    other = world.run_of("other")
    world.end("web")
    world.step()
    web = world.status("web")
    assert web.state is State.CRASHED
    assert web.health is Health.PROGRESSING
    assert web.reason == "killed by SIGKILL; failure 1, waiting before the next start"
    world.settle()
    shown = world.status("web").slots[0]
    assert (shown.restarts, str(shown.last_exit)) == (1, "killed by SIGKILL")
    assert gaps(world, "web") == [pytest.approx(1, abs=0.01)]
    assert world.run_of("other") is other
    assert world.arrives()


def test_the_wait_grows_with_every_failure_until_it_gives_up() -> None:
    world = World(service("web"), web=Program(lives_for=Nanos(0), code=1))
    world.settle(within=1200)
    waits = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert gaps(world, "web") == [pytest.approx(wait, abs=0.01) for wait in waits]
    assert world.happened("service.gave-up") == ["exited with 1 before it was ready"]
    tries = [f"try {number} of 10" for number in range(1, 11)]
    assert world.happened("service.starting") == ["its manifest says running", *tries]
    web = world.status("web")
    assert (web.state, web.health, web.reason_code) == (State.CRASHED, Health.DEGRADED, "GaveUp")
    assert web.reason == (
        "exited with 1 before it was ready; gave up after 10 restarts; mend: weaver start web"
    )
    assert web.slots[0].restarts == 10
    assert world.arrives()


def test_luck_spreads_the_waits_and_never_shortens_them() -> None:
    spread = Backoff(jitter=seconds(1))
    starts = set()
    for seed in range(5):
        world = World(service("web", backoff=spread), seed=seed)
        world.settle()
        world.end("web")
        world.settle()
        (gap,) = gaps(world, "web")
        assert 1 <= gap < 2.01
        starts.add(gap)
    assert len(starts) == 5


def test_without_a_limit_tries_are_only_counted() -> None:
    world = World(service("web", max_restarts=None))
    world.settle()
    world.end("web", code=1)
    world.settle()
    assert world.happened("service.starting") == ["its manifest says running", "try 1"]


def test_max_restarts_zero_never_restarts() -> None:
    world = World(service("web", max_restarts=0))
    world.settle()
    world.end("web", code=1)
    world.settle()
    assert world.reason("web") == "exited with 1; maxRestarts is 0; mend: weaver start web"
    assert len(world.runs("web")) == 1


def test_unlimited_restarts_never_give_up() -> None:
    world = World(service("web", max_restarts=None), web=Program(lives_for=Nanos(0), code=1))
    world.pass_time(3600)
    assert len(world.runs("web")) > 50
    assert world.happened("service.gave-up") == []


def test_a_back_off_of_zero_restarts_at_once() -> None:
    world = World(service("web", backoff=Backoff(initial=Nanos(0), jitter=seconds(1))))
    world.settle()
    world.end("web")
    world.step()
    assert world.state("web") is State.STARTING
    assert gaps(world, "web") == [0]


def test_a_long_good_spell_begins_the_count_anew() -> None:
    world = World(service("web", backoff=Backoff(jitter=Nanos(0), reset_after=minutes(5))))
    for _ in range(3):
        world.settle()
        world.pass_time(301)
        world.end("web")
    world.settle()
    assert gaps(world, "web") == [pytest.approx(1, abs=0.01)] * 3
    assert world.status("web").slots[0].restarts == 3


def test_a_program_that_cannot_be_run_is_tried_again_like_any_other_failure() -> None:
    world = World(service("web"), web=Program(cannot_run='cannot run "wbe": no such file'))
    world.pass_time(0.5)
    assert world.state("web") is State.CRASHED
    assert world.reason("web").startswith('cannot run "wbe": no such file; failure 1')
    world.become(web=Program())
    world.settle()
    assert world.state("web") is State.RUNNING


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        (ALWAYS, 0, "running"),
        (ALWAYS, 1, "running"),
        (ON_FAILURE, 0, "stopped"),
        (ON_FAILURE, 1, "running"),
        (NEVER, 0, "stopped"),
        (NEVER, 1, "crashed"),
    ],
)
def test_the_policy_decides_about_an_end(policy: RestartPolicy, code: int, expected: str) -> None:
    world = World(service("web", restart=policy))
    world.settle()
    world.end("web", code=code)
    world.settle()
    assert world.states() == {"web": expected}
    assert world.arrives()


def test_an_end_that_is_wanted_no_more_says_why_nothing_runs() -> None:
    world = World(service("web", restart=ON_FAILURE))
    world.settle()
    world.end("web", code=0)
    world.settle()
    web = world.status("web")
    assert (web.reason, web.reason_code) == ("ended well (0), restart is on-failure", "Exited")
    assert web.health is Health.HEALTHY
    world.kill_daemon()
    world.settle()
    assert len(world.runs("web")) == 1
    assert world.reason("web") == "ended well (0), restart is on-failure"


def test_codes_that_count_as_success_do() -> None:
    world = World(service("web", restart=ON_FAILURE, success_exit_codes=(7,)))
    world.settle()
    world.end("web", code=7)
    world.settle()
    assert world.status("web").reason_code == "Exited"


def test_start_of_a_service_that_gave_up_tries_again_at_once() -> None:
    world = World(service("web", max_restarts=0), web=Program(lives_for=Nanos(0), code=1))
    world.settle()
    world.become(web=Program())
    world.ask(OperationKind.START, "web")
    world.step()
    assert world.state("web") is State.STARTING
    world.settle()
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 2


def test_start_ends_a_back_off() -> None:
    world = World(service("web"), web=Program(lives_for=Nanos(0), code=1))
    world.pass_time(20)
    world.become(web=Program())
    world.ask(OperationKind.START, "web")
    world.step()
    assert world.state("web") is State.STARTING


def test_an_exit_heard_twice_is_counted_once() -> None:
    world = World(service("web"))
    world.settle()
    run = world.run_of("web")
    world.end("web", code=1)
    world.step()
    assert run.exit is not None
    world.tell(Exited(slot=run.slot, run=run.id, exit=run.exit))
    world.settle()
    world.tell(Exited(slot=run.slot, run=run.id, exit=run.exit))
    world.settle()
    assert world.status("web").slots[0].restarts == 1
    assert world.happened("service.crashed") == ["exited with 1"]


def test_an_exit_that_a_look_shows_once_more_is_counted_once() -> None:
    world = World(service("web"))
    world.settle()
    world.host.loses_next.add("acknowledge")
    world.end("web", code=1)
    world.step()
    world.kill_daemon()
    world.settle()
    assert world.status("web").slots[0].restarts == 1
    assert world.happened("service.crashed") == ["exited with 1"]


def test_a_back_off_is_kept_across_a_restart_of_the_daemon() -> None:
    world = World(service("web"), web=Program(lives_for=Nanos(0), code=1))
    world.pass_time(20)
    failures = len(world.runs("web"))
    before = world.reason("web")
    world.kill_daemon()
    world.pass_time(0.1)
    assert len(world.runs("web")) == failures
    assert world.reason("web") == before
    world.pass_time(20)
    assert len(world.runs("web")) == failures + 1


def test_the_end_of_an_older_version_does_not_count_against_todays() -> None:
    world = World(service("web", "db", max_restarts=0), service("db"))
    world.settle()
    world.save(service("web", "db", max_restarts=0), service("db", state=STOPPED))
    world.settle()
    # The new version has to wait for its need, so the old one runs on, and ends.
    world.save(service("web", "db", edition=2, max_restarts=0), service("db", state=STOPPED))
    world.settle()
    world.end("web", code=1)
    world.save(service("web", "db", edition=2, max_restarts=0), service("db"))
    world.settle()
    assert world.run_of("web").digest == "web@2"
    assert world.happened("service.gave-up") == []


def test_giving_up_is_kept_across_a_restart_of_the_daemon() -> None:
    world = World(service("web", max_restarts=0), web=Program(lives_for=Nanos(0), code=1))
    world.settle()
    world.kill_daemon()
    world.settle()
    assert world.status("web").reason_code == "GaveUp"
    assert len(world.runs("web")) == 1


def test_what_a_dead_leader_leaves_behind_is_swept_before_the_next_start() -> None:
    world = World(service("web"), web=Program(leaves_child=True))
    world.settle()
    first = world.run_of("web")
    world.end("web", code=1)
    world.step()
    assert world.state("web") is State.CRASHED
    world.settle()
    assert first.is_empty
    assert len(world.runs("web")) == 2
    assert world.host.busy_refusals == 0


def test_left_over_children_that_ignore_it_are_killed_and_the_back_off_is_kept() -> None:
    stubborn = Program(leaves_child=True, child_ignores=True)
    slow = Backoff(initial=seconds(30), jitter=Nanos(0))
    world = World(service("web", stop_timeout=seconds(5), backoff=slow), web=stubborn)
    world.settle()
    world.end("web", code=1)
    world.pass_time(10)
    assert world.state("web") is State.CRASHED
    world.settle()
    assert gaps(world, "web") == [pytest.approx(30, abs=0.1)]


def test_a_need_that_crashes_leaves_its_dependents_running_and_they_say_so() -> None:
    world = World(service("web", "db"), service("db"))
    world.settle()
    web = world.run_of("web")
    world.end("db")
    world.step()
    assert world.reason("web") == "runs without db (crashed: killed by SIGKILL)"
    assert world.happened("dependency.lost", "web") == [
        "runs without db (crashed: killed by SIGKILL)"
    ]
    world.settle()
    assert world.run_of("web") is web
    assert world.reason("web") == ""
    assert world.happened("dependency.back", "web") == ["db is there again"]


def test_a_oneshot_that_runs_again_is_lost_only_if_it_fails() -> None:
    world = World(service("web", "job"), oneshot("job", restart=RestartPolicy.NEVER))
    world.settle()
    world.ask(OperationKind.RESTART, "job")
    world.settle()
    assert world.happened("dependency.lost") == []
    assert world.happened("dependency.back") == []
    world.pass_time(1)
    world.ask(OperationKind.RESTART, "job")
    world.until(lambda: world.state("job") is State.RUNNING)
    world.end("job", code=1)
    world.settle()
    assert world.happened("dependency.lost", "web") == ["runs without job (gave up: exited with 1)"]


def test_a_need_that_was_never_there_cannot_be_lost() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    world.become(cache=Program(ready_after=None))
    world.save(service("web", "db", "cache"), service("db"), probed("cache"))
    world.pass_time(5)
    assert world.reason("web").startswith("runs without cache (starting")
    assert world.happened("dependency.lost") == []
    world.end("db")
    world.pass_time(5)
    assert world.happened("dependency.lost") == ["runs without db (crashed: killed by SIGKILL)"]
    assert world.happened("dependency.back") == ["db is there again"]


def test_a_dependent_that_follows_restarts_once_its_need_is_ready_again() -> None:
    world = World(service("web", follows("db")), probed("db"), db=Program(ready_after=seconds(5)))
    world.settle()
    old = world.run_of("web")
    world.end("db")
    world.until(lambda: len(world.runs("db")) == 2)
    assert world.run_of("web") is old
    world.settle()
    assert len(world.runs("web")) == 2
    assert world.run_of("web").started >= world.run_of("db").started + seconds(5)
    assert world.arrives()


def test_a_dependent_crashes_while_its_need_is_down_and_waits_for_it() -> None:
    world = World(service("web", "db"), service("db", ready=TCP, backoff=STEADY))
    world.settle()
    world.become(db=Program(ready_after=seconds(20)))
    world.end("db")
    world.end("web")
    world.settle()
    assert world.run_of("web").started >= world.run_of("db").started + seconds(20)
