"""How processes end: asked first, with all the time they have, dependents before needs."""

from __future__ import annotations

import pytest

from reconciler.model.event import OperationKind, Scope, Signal
from reconciler.model.observed import State
from reconciler.model.status import Health
from reconciler.model.units import Nanos, milliseconds, seconds
from tests.core.building import STOPPED, need, probed, service
from tests.sim.host import Program
from tests.sim.world import World


def signals(world: World) -> list[tuple[str, str, Scope]]:
    return [
        (str(command.slot), command.signal, command.scope)
        for decision in world.decisions
        for command in decision.commands
        if isinstance(command, Signal)
    ]


def test_v12_a_stop_asks_the_main_process_with_the_signal_of_its_manifest() -> None:
    world = World(service("web", stop_signal="SIGINT"))
    world.settle()
    world.save(service("web", stop_signal="SIGINT", state=STOPPED))
    world.settle()
    assert signals(world) == [("web-0", "SIGINT", Scope.MAIN)]
    assert world.happened("service.stopped") == ["its manifest says stopped; killed by SIGINT"]


def test_a_shell_is_asked_with_its_whole_group() -> None:
    world = World(service("web", shell=True))
    world.settle()
    world.save(service("web", shell=True, state=STOPPED))
    world.settle()
    assert signals(world) == [("web-0", "SIGTERM", Scope.GROUP)]


def test_what_ignores_it_is_killed_after_its_stop_timeout_and_not_before() -> None:
    world = World(service("web", stop_timeout=seconds(7)), web=Program(ends_in=None))
    world.settle()
    run = world.run_of("web")
    world.save(service("web", stop_timeout=seconds(7), state=STOPPED))
    world.pass_time(6.9)
    assert world.state("web") is State.STOPPING
    assert run.exit is None
    world.pass_time(0.2)
    assert world.state("web") is State.STOPPED
    assert str(world.status("web").slots[0].last_exit) == "killed by SIGKILL"
    assert [signal for _, signal, _ in signals(world)] == ["SIGTERM", "SIGKILL"]
    assert signals(world)[-1][2] is Scope.TREE


def test_what_outlives_its_main_process_gets_the_signal_and_the_rest_of_the_time() -> None:
    family = Program(leaves_child=True, child_ignores=True, ends_in=seconds(4))
    world = World(service("web"), web=family)
    world.settle()
    run = world.run_of("web")
    asked_at = world.now
    world.save(service("web", state=STOPPED))
    world.until(lambda: run.is_empty)
    assert [(name, scope) for _, name, scope in signals(world)] == [
        ("SIGTERM", Scope.MAIN),
        ("SIGTERM", Scope.TREE),
        ("SIGKILL", Scope.TREE),
    ]
    assert seconds(10) <= world.now - asked_at < seconds(10.1)


def test_what_cannot_be_killed_is_unknown_and_gets_no_second_copy() -> None:
    world = World(service("web"), web=Program(ends_in=None, unkillable=True))
    world.settle()
    run = world.run_of("web")
    world.save(service("web", edition=2))
    world.settle()
    web = world.status("web")
    assert (web.state, web.health, web.reason_code) == (
        State.UNKNOWN,
        Health.UNKNOWN,
        "Unkillable",
    )
    assert web.reason == f"process {run.pid} does not end, not even by SIGKILL"
    assert world.arrives()
    assert world.runs("web") == [run]
    run.program = Program()
    world.host.end(run, signal="SIGKILL")
    world.settle()
    assert world.run_of("web").digest == "web@2"


def test_a_start_that_failed_and_cannot_be_killed_still_counts_once_it_is_gone() -> None:
    stuck = Program(ready_after=None, ends_in=None, unkillable=True)
    world = World(probed("web", start_timeout=seconds(1), max_restarts=0), web=stuck)
    world.until(lambda: bool(world.happened("service.unknown")))
    run = world.run_of("web")
    run.program = Program()
    world.host.end(run, signal="SIGKILL")
    world.settle()
    assert world.state("web") is State.CRASHED
    assert world.happened("service.gave-up") != []


# --- order -----------------------------------------------------------------------------------


def ends(world: World, *names: str) -> list[Nanos]:
    found = []
    for text in names:
        (end,) = [run.exit for run in world.runs(text)]
        assert end is not None
        found.append(end.at)
    return found


SLOW = Program(ends_in=milliseconds(500))


def test_a_shutdown_stops_dependents_first_and_then_is_finished() -> None:
    world = World(
        service("web", "api"),
        service("api", "db"),
        service("db"),
        service("other"),
        web=SLOW,
        api=SLOW,
        db=SLOW,
    )
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    assert ends(world, "web", "api", "db") == sorted(ends(world, "web", "api", "db"))
    assert ends(world, "other")[0] < ends(world, "web")[0]
    assert world.pids() == {}
    assert world.happened("service.unregistered") == []
    assert world.happened("prune.held") == []


def test_a_shutdown_stops_dependents_first_where_what_lies_between_is_stopped() -> None:
    world = World(
        service("web", "api"), service("api", "db", state=STOPPED), service("db"), db=SLOW, web=SLOW
    )
    world.save(service("web", need("api")), service("api", "db"), service("db"))
    world.settle()
    world.save(service("web", need("api")), service("api", "db", state=STOPPED), service("db"))
    world.settle()
    assert world.state("web") is State.RUNNING
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    assert ends(world, "web") < ends(world, "db")


def test_a_second_request_kills_at_once() -> None:
    stubborn = Program(ends_in=None)
    world = World(service("web", "db"), service("db"), web=stubborn, db=stubborn)
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.pass_time(1)
    assert not world.finished
    asked_at = world.now
    world.ask(OperationKind.KILL)
    world.until(lambda: world.finished)
    assert world.now - asked_at < seconds(0.1)
    assert world.pids() == {}


def test_a_shutdown_in_the_middle_of_starting_leaves_nothing() -> None:
    world = World(service("web", "db"), service("db"))
    world.step()
    world.step()
    assert world.state("db") is State.STARTING
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    assert world.pids() == {}
    assert world.runs("web") == []


def test_a_shutdown_ends_although_something_cannot_be_killed() -> None:
    world = World(service("web"), web=Program(ends_in=None, unkillable=True))
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    assert world.state("web") is State.UNKNOWN


def test_a_shutdown_needs_no_manifests() -> None:
    world = World(service("web"))
    world.settle()
    world.kill_daemon()
    world.forget_manifests()
    world.pass_time(1)
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    assert world.pids() == {}
    assert world.happened("service.unregistered") == []
    assert world.happened("prune.held") == []
    assert world.memory.services != {}


def test_a_crash_during_a_shutdown_starts_nothing() -> None:
    world = World(service("web", "db"), service("db"), web=Program(ends_in=seconds(5)))
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.pass_time(1)
    world.end("db")
    world.until(lambda: world.finished)
    assert len(world.runs("db")) == 1


def test_the_counts_begin_anew_after_a_shutdown() -> None:
    world = World(service("web", max_restarts=0), web=Program(lives_for=Nanos(0), code=1))
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    world.become(web=Program())
    world.kill_daemon()
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].restarts == 0


@pytest.mark.parametrize("loss", ["loses_next", "drops_next"])
def test_a_signal_whose_answer_is_lost_is_sent_again(loss: str) -> None:
    world = World(service("web", stop_timeout=seconds(60)), web=Program(ends_in=seconds(1)))
    world.settle()
    getattr(world.host, loss).add("Signal")
    world.save(service("web", stop_timeout=seconds(60), state=STOPPED))
    world.settle()
    assert world.state("web") is State.STOPPED
    assert "SIGKILL" not in [name for _, name, _ in signals(world)]


def test_a_lost_stop_does_not_shorten_the_time_a_process_has() -> None:
    world = World(service("web", stop_timeout=seconds(10)), web=Program(ends_in=None))
    world.settle()
    run = world.run_of("web")
    world.host.drops_next.add("Signal")
    world.save(service("web", stop_timeout=seconds(10), state=STOPPED))
    world.settle()
    assert run.asked_at is not None
    assert run.exit is not None
    assert run.exit.at - run.asked_at >= seconds(10)


def test_a_lost_kill_is_sent_again() -> None:
    world = World(service("web", stop_timeout=seconds(3)), web=Program(ends_in=None))
    world.settle()
    world.save(service("web", stop_timeout=seconds(3), state=STOPPED))
    world.pass_time(1)
    world.host.drops_next.add("Signal")
    world.until(lambda: world.pids() == {}, within=60)
    world.settle()
    assert world.state("web") is State.STOPPED


def test_a_service_wanted_again_while_it_stops_is_started_when_it_has_stopped() -> None:
    world = World(service("web"), web=Program(ends_in=seconds(3)))
    world.settle()
    first = world.run_of("web")
    world.save(service("web", state=STOPPED))
    world.pass_time(1)
    world.save(service("web"))
    world.settle()
    assert first.is_empty
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 2


def test_c3_deadlines_are_put_off_by_the_time_the_host_slept() -> None:
    world = World(service("web", stop_timeout=seconds(10)), web=Program(ends_in=seconds(3)))
    world.settle()
    run = world.run_of("web")
    world.save(service("web", stop_timeout=seconds(10), state=STOPPED))
    world.pass_time(1)
    world.sleep(8 * 3600)
    world.settle()
    assert run.exit is not None
    assert run.exit.signal == "SIGTERM"


def test_what_had_crashed_rests_because_all_is_shut_down() -> None:
    world = World(service("web"))
    world.settle()
    world.end("web")
    world.step()
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    changes = [change for decision in world.decisions for change in decision.transitions]
    assert (changes[-1].after, changes[-1].reason) == (State.STOPPED, "shutting down")
