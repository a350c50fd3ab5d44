"""Each line of the restart policy: how it ended, what is said, and whether it runs again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.observed import State
from reconciler.model.spec import Backoff, RestartPolicy, ServiceSpec, ServiceType
from reconciler.model.status import Health, Sync
from reconciler.model.units import Nanos, minutes, seconds
from tests.core.building import service
from tests.sim.host import Program
from tests.sim.world import World

ALWAYS, ON_FAILURE, NEVER = RestartPolicy.ALWAYS, RestartPolicy.ON_FAILURE, RestartPolicy.NEVER
PLAIN = Backoff(initial=seconds(1), jitter=Nanos(0))
AGAIN, OVER, FAILED = "again", "over", "failed"


def ended(policy: RestartPolicy, end: int | str, **fields: Any) -> World:
    """Let a service run, and its process end by itself with a code or by a signal."""
    wanted = service("a", restart=policy, backoff=PLAIN, **fields)
    world = World(wanted, a=Program(oneshot_takes=None))
    world.pass_time(3)
    run = world.run_of("a")
    code, signal = (end, None) if isinstance(end, int) else (None, end)
    world.host.end(run, code=code, signal=signal)
    world.pass_time(0.5)
    return world


def outcome(world: World) -> str:
    """Say whether it runs again, is over, or was given up."""
    status = world.status("a")
    if status.state is State.STOPPED:
        assert (status.health, status.sync) == (Health.HEALTHY, Sync.SYNCED)
        return OVER
    world.pass_time(2)
    return AGAIN if len(world.runs("a")) == 2 else FAILED


@pytest.mark.parametrize(
    ("end", "always", "on_failure", "never"),
    [
        (0, AGAIN, OVER, OVER),
        (3, AGAIN, AGAIN, FAILED),
        ("SIGTERM", AGAIN, OVER, OVER),
        ("SIGHUP", AGAIN, OVER, OVER),
        ("SIGINT", AGAIN, OVER, OVER),
        ("SIGPIPE", AGAIN, OVER, OVER),
        ("SIGSEGV", AGAIN, AGAIN, FAILED),
        ("SIGKILL", AGAIN, AGAIN, FAILED),
    ],
)
def test_how_a_service_ended_and_its_policy_say_whether_it_runs_again(
    end: int | str, always: str, on_failure: str, never: str
) -> None:
    found = [outcome(ended(policy, end)) for policy in (ALWAYS, ON_FAILURE, NEVER)]
    assert found == [always, on_failure, never]


@pytest.mark.parametrize(
    ("end", "on_failure", "never"),
    [(0, OVER, OVER), (3, AGAIN, FAILED), ("SIGTERM", AGAIN, FAILED), ("SIGABRT", AGAIN, FAILED)],
)
def test_a_oneshot_must_exit_to_have_ended_well(
    end: int | str, on_failure: str, never: str
) -> None:
    kind = ServiceType.ONESHOT
    found = [outcome(ended(policy, end, type=kind)) for policy in (ON_FAILURE, NEVER)]
    assert found == [on_failure, never]


@pytest.mark.parametrize("kind", [ServiceType.SIMPLE, ServiceType.ONESHOT])
@pytest.mark.parametrize("end", [3, "SIGUSR1"])
def test_success_exit_codes_name_codes_and_signals(kind: ServiceType, end: int | str) -> None:
    world = ended(ON_FAILURE, end, type=kind, success_exit_codes=(3, "SIGUSR1"))
    assert outcome(world) == OVER


def test_what_ended_well_says_why_it_is_not_started_again() -> None:
    assert ended(ON_FAILURE, 0).reason("a") == "ended well (0), restart is on-failure"
    assert ended(NEVER, "SIGTERM").reason("a") == "ended well (SIGTERM), restart is never"


def test_a_failure_without_restarts_is_given_up_with_its_reason_and_an_event() -> None:
    world = ended(NEVER, 3)
    assert world.reason("a") == "exited with 3; restart is `never`; mend: weaver start a"
    assert world.happened("service.gave-up") == ["exited with 3"]


@pytest.mark.parametrize(
    ("most", "starts"), [(0, 1), (1, 2), (3, 4), (None, 6)], ids=["0", "1", "3", "unlimited"]
)
def test_max_restarts_are_counted_since_the_last_good_spell(most: int | None, starts: int) -> None:
    crashing = service("a", backoff=replace(PLAIN, max=seconds(2)), max_restarts=most)
    world = World(crashing, a=Program(lives_for=seconds(3), code=1))
    world.pass_time(1 + 5 * 5)
    assert len(world.runs("a")) == starts
    assert (world.state("a") is State.CRASHED) == (most is not None)
    assert len(world.happened("service.gave-up")) == (most is not None)


def test_failures_are_forgotten_after_the_uptime_that_is_said() -> None:
    spells = replace(PLAIN, reset_after=seconds(30))
    world = World(
        service("a", backoff=spells, max_restarts=1), a=Program(lives_for=seconds(40), code=1)
    )
    world.pass_time(300)
    assert len(world.runs("a")) > 6
    assert world.happened("service.gave-up") == []


def unrunnable(**fields: Any) -> World:
    world = World(service("a", backoff=PLAIN, **fields), a=Program(cannot_run="no such file"))
    world.pass_time(4)
    return world


def test_a_start_that_fails_takes_the_same_path_and_counts_as_a_restart() -> None:
    world = unrunnable(max_restarts=2)
    (slot,) = world.status("a").slots
    assert (slot.state, slot.restarts) == (State.CRASHED, 2)
    assert world.reason("a").startswith("no such file; gave up after 2 restarts")


def test_a_crash_in_back_off_waits_as_long_under_the_next_daemon() -> None:
    wanted: ServiceSpec = service("a", backoff=replace(PLAIN, initial=minutes(1)), max_restarts=3)
    world = World(wanted, a=Program(lives_for=seconds(3), code=1))
    world.pass_time(1)
    world.until(lambda: world.state("a") is State.CRASHED)
    since = world.now
    world.kill_daemon(down_for=10)
    world.until(lambda: len(world.runs("a")) == 2)
    assert world.now - since == minutes(1)


def test_r10_and_r11_a_host_that_cannot_fork_fails_no_service() -> None:
    world = World(service("a", max_restarts=0))
    world.host.machine.is_short = True
    world.pass_time(60)
    assert world.state("a") is State.STOPPED
    assert "the host is short of processes, memory or descriptors" in world.reason("a")
    assert len(world.happened("service.refused")) == 1
    assert world.happened("service.crashed") == []
    world.host.machine.is_short = False
    world.pass_time(12)
    assert world.state("a") is State.RUNNING
    assert world.status("a").slots[0].restarts == 0
