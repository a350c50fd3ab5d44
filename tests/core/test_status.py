"""What people are shown: a service folded out of its slots, and why it is as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.planner import plan
from reconciler.core.settle import settle
from reconciler.core.sight import Sight
from reconciler.core.status import picture
from reconciler.model.observed import State
from reconciler.model.plan import Hold, HoldCode, Plan, Situation
from reconciler.model.record import Rollout, RolloutPhase, SlotRecord, Trouble
from reconciler.model.spec import RestartPolicy
from reconciler.model.status import Health, Picture, ServiceStatus, Sync
from reconciler.model.units import Nanos
from tests.core.building import STOPPED, manifests, name, oneshot, service, slot
from tests.core.situations import LATER, as_wanted, converged, memory_of
from tests.sim.host import Program
from tests.sim.world import World


def shown(situation: Situation, *, host_unseen: str = "", source_held: str = "") -> Picture:
    sight = Sight(source_held=source_held, host_unseen=host_unseen)
    return picture(situation, plan(situation), sight)


def record_in(state: State, index: int) -> SlotRecord:
    """Give a slot of a service with two of them, in a state."""
    record = as_wanted(service("web", instances=2), index)
    is_empty = state in (State.STOPPED, State.CRASHED)
    trouble = Trouble(failures=1, retry_at=LATER, because="it died")
    memory = replace(record.memory, trouble=trouble if state is State.CRASHED else Trouble())
    return replace(
        record,
        state=state,
        memory=memory,
        process=None if is_empty else record.process,
        deadline=LATER if state is State.STOPPING else None,
    )


def web_with(first: State, second: State) -> ServiceStatus:
    spec = service("web", instances=2)
    records = {0: record_in(first, 0), 1: record_in(second, 1)}
    situation = replace(converged(spec), slots={name("web"): records})
    return shown(situation).services[name("web")]


@pytest.mark.parametrize(
    ("first", "second", "folded"),
    [(state, state, state) for state in State]
    + [
        (State.RUNNING, State.CRASHED, State.DEGRADED),
        (State.RUNNING, State.STARTING, State.DEGRADED),
        (State.STOPPING, State.RUNNING, State.DEGRADED),
        (State.CRASHED, State.STARTING, State.CRASHED),
        (State.UNKNOWN, State.STARTING, State.UNKNOWN),
        (State.CRASHED, State.UNKNOWN, State.CRASHED),
        (State.STOPPING, State.STARTING, State.STARTING),
        (State.STOPPED, State.STOPPING, State.STOPPING),
    ],
)
def test_a_service_is_folded_out_of_its_slots(first: State, second: State, folded: State) -> None:
    assert web_with(first, second).state is folded


def rolling_with(
    first: State, second: State, *, above: State, phase: RolloutPhase = RolloutPhase.ROLLING
) -> ServiceStatus:
    """Show a service in a rollout: its own two slots, and the one that helps out."""
    spec, before = service("web", instances=2, edition=2), service("web", instances=2)
    rollout = Rollout(
        to=spec, base=before, since=Nanos(0), began=Nanos(1), phase=phase, rolled=(0, 2), surge=1
    )
    memory = replace(memory_of(spec), rollout=rollout)
    states = dict(enumerate((first, second, above)))
    records = {index: record_in(state, index) for index, state in states.items()}
    found = replace(
        converged(spec),
        services={name("web"): memory},
        slots={name("web"): records},
        rollouts={name("web"): rollout},
    )
    return shown(found).services[name("web")]


@pytest.mark.parametrize(
    ("first", "second", "above", "folded"),
    [
        (State.RUNNING, State.RUNNING, State.STARTING, State.RUNNING),
        (State.RUNNING, State.RUNNING, State.STOPPING, State.RUNNING),
        (State.STARTING, State.RUNNING, State.RUNNING, State.STARTING),
        (State.STOPPING, State.RUNNING, State.RUNNING, State.STOPPING),
        (State.RUNNING, State.DEGRADED, State.RUNNING, State.DEGRADED),
        (State.CRASHED, State.RUNNING, State.RUNNING, State.DEGRADED),
    ],
)
def test_what_a_rollout_replaces_is_no_degradation_but_a_crash_is(
    first: State, second: State, above: State, folded: State
) -> None:
    assert rolling_with(first, second, above=above).state is folded


def test_in_a_rollout_the_reason_is_how_far_it_is_not_how_many_run() -> None:
    starts = rolling_with(State.STARTING, State.RUNNING, above=State.RUNNING)
    assert starts.reason.startswith("rollout ")
    died = rolling_with(State.RUNNING, State.CRASHED, above=State.RUNNING)
    assert died.reason.startswith("1 of 2 running; web-1: it died")


def test_after_a_rollout_that_was_taken_back_a_slot_that_is_missing_counts_again() -> None:
    found = rolling_with(
        State.STARTING, State.RUNNING, above=State.STOPPING, phase=RolloutPhase.UNDONE
    )
    assert found.state is State.DEGRADED


def test_of_several_slots_the_reason_counts_those_that_run() -> None:
    found = web_with(State.RUNNING, State.CRASHED)
    assert found.reason == (
        "1 of 2 running; web-1: it died; failure 1, waiting before the next start"
    )
    assert found.reason_code == "BackingOff"


@pytest.mark.parametrize(
    ("first", "second", "health"),
    [
        (State.RUNNING, State.RUNNING, Health.HEALTHY),
        (State.STARTING, State.STARTING, Health.PROGRESSING),
        (State.RUNNING, State.STARTING, Health.PROGRESSING),
        (State.CRASHED, State.CRASHED, Health.PROGRESSING),
        (State.UNKNOWN, State.UNKNOWN, Health.UNKNOWN),
        (State.STOPPED, State.STOPPED, Health.PROGRESSING),
    ],
)
def test_health_follows_from_the_states(first: State, second: State, health: Health) -> None:
    assert web_with(first, second).health is health


def test_what_is_wanted_stopped_is_stopped_and_in_sync() -> None:
    found = shown(converged(service("web", state=STOPPED))).services[name("web")]
    assert (found.state, found.health, found.sync) == (State.STOPPED, Health.STOPPED, Sync.SYNCED)


def test_what_waits_for_something_that_will_not_come_is_missing() -> None:
    specs = (service("web", "db"), service("db", state=STOPPED))
    situation = replace(converged(*specs), slots={})
    found = shown(situation).services[name("web")]
    assert (found.health, found.sync) == (Health.MISSING, Sync.OUT_OF_SYNC)


def test_a_host_out_of_sight_makes_everything_unknown_and_says_why() -> None:
    drawn = shown(converged(service("web")), host_unseen="the holder has left")
    found = drawn.services[name("web")]
    assert (found.health, found.sync) == (Health.UNKNOWN, Sync.UNKNOWN)
    assert (found.reason, found.reason_code) == ("the holder has left", "HostUnseen")
    assert not drawn.converged


def test_manifests_that_are_held_are_nothing_to_rely_on() -> None:
    drawn = shown(converged(service("web")), source_held="a rebase is in progress")
    assert drawn.source_held == "a rebase is in progress"
    assert not drawn.converged


def test_services_are_listed_needs_first() -> None:
    drawn = shown(converged(service("a", "z"), service("z"), service("m", "a")))
    assert list(drawn.services) == ["z", "a", "m"]
    assert drawn.services[name("z")].needed_by == ("a",)
    assert drawn.services[name("m")].needs == ("a",)


def test_what_is_gone_is_shown_as_long_as_something_of_it_runs() -> None:
    situation = converged(service("web"), service("db"))
    wanted = replace(situation, desired=settle(manifests(service("db")), situation.services))
    found = shown(wanted).services[name("web")]
    assert (found.desired, found.sync) == (None, Sync.OUT_OF_SYNC)
    empty = replace(wanted, slots={key: situation.slots[key] for key in (name("db"),)})
    assert list(shown(empty).services) == ["db"]


def test_of_what_is_gone_only_what_still_runs_is_shown() -> None:
    situation = converged(service("web", instances=2), service("db"))
    gone = replace(situation, desired=settle(manifests(service("db")), situation.services))
    slots = {**situation.slots, name("web"): {1: situation.slots[name("web")][1]}}
    found = shown(replace(gone, slots=slots)).services[name("web")]
    assert [one.slot for one in found.slots] == [slot("web", 1)]


def test_a_process_in_a_slot_too_many_is_shown_until_it_is_gone() -> None:
    spec = service("web")
    extra = replace(as_wanted(spec, 1), state=State.STOPPING, deadline=LATER)
    situation = converged(spec)
    slots = {name("web"): {**situation.slots[name("web")], 1: extra}}
    found = shown(replace(situation, slots=slots)).services[name("web")]
    assert [one.slot for one in found.slots] == [slot("web", 0), slot("web", 1)]
    assert found.state is State.RUNNING  # nothing that is wanted is missing


def test_a_plan_that_the_judge_refused_is_said_to_be_a_defect_of_ours() -> None:
    # No plan of ours is refused, so the refusal itself is made here.
    situation = converged(service("web"))
    hold = Hold(service=name("web"), code=HoldCode.JUDGE_REFUSED, because="the judge refused")
    drawn = picture(situation, Plan(holds=(hold,)), Sight())
    found = drawn.services[name("web")]
    assert (found.sync, found.reason) == (Sync.HELD, "the judge refused")


def test_only_what_is_at_rest_has_converged() -> None:
    assert shown(converged(service("web"), oneshot("prepare"))).converged
    busy = converged(service("web"))
    services = {name("web"): memory_of(service("web", edition=2))}
    changed = replace(
        busy, services=services, desired=settle(manifests(service("web", edition=2)), {})
    )
    assert not shown(changed).converged


def test_a_oneshot_at_work_has_not_converged() -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=LATER))
    world.pass_time(5)
    assert world.state("prepare") is State.RUNNING
    assert not world.picture.converged


def test_before_the_manifests_are_read_nobody_says_that_all_is_as_wanted() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    world.forget_manifests()
    world.kill_daemon()
    world.hold("services.d cannot be read")
    world.step()
    world.step()
    world.end("web", code=1)
    world.step()
    web, db = world.status("web"), world.status("db")
    waits = "waiting for the manifests: services.d cannot be read"
    assert (web.state, web.health, web.sync) == (State.CRASHED, Health.DEGRADED, Sync.UNKNOWN)
    assert (web.reason, web.reason_code) == (f"exited with 1; {waits}", "SourceHeld")
    assert (db.state, db.health, db.sync) == (State.RUNNING, Health.HEALTHY, Sync.UNKNOWN)
    assert db.reason == waits


def test_before_the_first_look_nobody_says_what_runs() -> None:
    world = World(service("web"), service("job", state=STOPPED))
    world.settle()
    world.kill_daemon()
    assert world.states() == {"job": "unknown", "web": "unknown"}
    assert world.status("web").slots[0].state is State.UNKNOWN
    world.settle()
    assert world.states() == {"job": "stopped", "web": "running"}


def test_what_a_main_process_left_behind_is_on_its_way_out() -> None:
    stays = Program(leaves_child=True, child_ignores=True)
    world = World(service("web"), service("once", restart=RestartPolicy.NEVER))
    world.become(web=stays, once=stays)
    world.settle()
    world.end("web", code=3)
    world.end("once", code=3)
    world.step()
    asked = world.status("web")
    world.pass_time(1)
    for web in (asked, world.status("web")):
        assert (web.state, web.health) == (State.CRASHED, Health.PROGRESSING)
        assert web.reason == "exited with 3; what it left behind must end first"
    # It will not be started again, whatever becomes of its children.
    assert world.status("once").health is Health.DEGRADED
