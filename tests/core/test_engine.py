"""What holds of the engine itself: it replays, it keeps its word, it survives its own defects."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from reconciler.core import engine as engine_module
from reconciler.core.engine import Engine
from reconciler.core.planner import plan
from reconciler.model.event import LookAtHost, OperationKind, Spawn
from reconciler.model.observed import State
from reconciler.model.plan import Plan, Situation, Start, Stop
from reconciler.model.record import Memory
from reconciler.model.units import seconds
from tests.core.building import name, probed, service
from tests.sim.episode import do
from tests.sim.histories import histories
from tests.sim.host import BOOT, Program
from tests.sim.kinds import Deed
from tests.sim.world import World


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_the_same_events_at_the_same_times_give_the_same_decisions(history: list[Deed]) -> None:
    world = World(seed=5)
    do(world, Deed("save-all", (5,)))
    for deed in history:
        do(world, deed)
        world.step()
    lived = world.lives
    for memory, steps in lived:
        again = Engine(memory, 5)
        for step in steps:
            assert again.step(step.events, step.now) == step.decision


def test_it_first_looks_at_the_host_and_does_nothing_else() -> None:
    first = Engine(Memory(boot=BOOT)).step([], seconds(1))
    assert [type(command) for command in first.commands] == [LookAtHost]
    assert [command.serial for command in first.commands] == [1]


def test_a_situation_that_was_given_away_does_not_change() -> None:
    world = World(service("web"))
    world.settle()
    before = world.engine.situation(world.now)
    kept = before.slots[name("web")][0]
    world.end("web")
    world.step()
    assert before.slots[name("web")][0] is kept
    assert world.engine.situation(world.now).slots[name("web")][0].state is State.CRASHED


def test_time_never_goes_back() -> None:
    world = World(service("web"))
    world.settle()
    decision = world.engine.step([], seconds(1))
    assert decision.wake_at is not None
    assert decision.wake_at > world.now


def test_a_plan_that_the_judge_refuses_is_held_for_that_service_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(situation: Situation, _layout: object) -> Plan:
        """Plan as ever, but stop web whenever it runs."""
        made = plan(situation)
        found = situation.slots.get(name("web"), {}).get(0)
        if found is None or found.process is None or found.state is not State.RUNNING:
            return made
        bad = Stop(slot=found.memory.slot, target=found.process.id, because="a defect")
        return Plan(actions=(*made.actions, bad), holds=made.holds)

    world = World(service("web"), service("db"))
    world.settle()
    world.rules.is_lenient = True
    monkeypatch.setattr(engine_module, "plan", broken)
    run = world.run_of("web")
    world.end("db")
    world.pass_time(5)
    assert run.exit is None
    assert world.state("db") is State.RUNNING
    assert world.happened("plan.refused") == ["stop web-0: it is wanted"]
    assert world.reason("web").startswith("the judge refused the plan: stop web-0: it is wanted")
    monkeypatch.undo()
    world.pass_time(40)
    assert world.reason("web") == ""


def test_a_need_that_is_never_answered_for_does_not_hold_up_the_rest() -> None:
    world = World(probed("db"), service("other"), db=Program(ready_after=None))
    world.host.drops_next.add("Probe")
    world.pass_time(20)
    assert world.state("other") is State.RUNNING
    probes = [one for decision in world.decisions for one in decision.commands]
    assert len([one for one in probes if not isinstance(one, Spawn | LookAtHost)]) > 10


def test_everything_that_is_decided_is_written_down_before_it_is_done() -> None:
    world = World(service("web"))
    world.step()
    decision = world.step()
    assert [type(command) for command in decision.commands] == [Spawn]
    (memory,) = decision.remembered.slots.values()
    assert memory is not None
    assert memory.tried == "web@1"


def test_an_operation_that_names_nothing_known_does_nothing() -> None:
    world = World(service("web"))
    world.settle()
    world.ask(OperationKind.RESTART, "nobody")
    world.ask(OperationKind.START, "nobody")
    decision = world.step()
    assert decision.commands == ()
    assert world.arrives()


def test_starts_of_one_step_come_in_the_order_of_the_plan() -> None:
    specs = [service(f"s{index}") for index in range(5)]
    world = World(*specs)
    world.step()
    made = plan(world.engine.situation(world.now))
    decision = world.step()
    planned = [action.slot for action in made.actions if isinstance(action, Start)]
    assert [one.slot for one in decision.commands if isinstance(one, Spawn)] == planned
