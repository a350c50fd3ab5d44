"""What holds of every plan, whatever the situation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.graph import reach, reverse
from reconciler.core.judge import judge
from reconciler.core.planner import plan
from reconciler.core.settle import settle
from reconciler.core.wishes import is_done, lay_out
from reconciler.model.desired import Desired
from reconciler.model.observed import Process, Slot
from reconciler.model.plan import (
    Action,
    Forget,
    HoldCode,
    Kill,
    Plan,
    Restart,
    Situation,
    Start,
    Stop,
    Update,
)
from reconciler.model.record import SlotMemory, SlotRecord
from reconciler.model.spec import DesiredState, OnRestart, RestartPolicy, ServiceSpec
from reconciler.model.units import Digest, Nanos, ServiceName
from tests.core.building import manifests, oneshot, service
from tests.core.effects import in_rounds
from tests.core.situations import converged, memory_of, situations
from tests.core.strategies import manifest_sets

slowly = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)


def service_of(action: Action) -> ServiceName:
    return action.service if isinstance(action, Update | Forget) else action.slot.service


def touched(made: Plan) -> set[ServiceName]:
    return {service_of(one) for one in made.actions if not isinstance(one, Update | Forget)}


@slowly
@given(situations())
def test_the_judge_accepts_every_plan(situation: Situation) -> None:
    assert judge(plan(situation), situation) == ()


@slowly
@given(situations())
def test_a_plan_depends_on_nothing_but_the_situation(situation: Situation) -> None:
    assert plan(situation) == plan(situation)
    assert plan(situation, lay_out(situation)) == plan(situation)


@slowly
@given(situations())
def test_the_order_in_which_things_are_listed_means_nothing(situation: Situation) -> None:
    def turned(found: Mapping[Any, Any]) -> dict[Any, Any]:
        return dict(reversed(list(found.items())))

    desired = replace(situation.desired, services=turned(situation.desired.services))
    slots = turned({name: turned(records) for name, records in situation.slots.items()})
    other = replace(situation, desired=desired, services=turned(situation.services), slots=slots)
    assert plan(other) == plan(situation)


@slowly
@given(situations(), st.permutations("abcde"))
def test_renaming_services_renames_the_plan_and_nothing_else(
    situation: Situation, names: list[str]
) -> None:
    new = dict(zip("abcde", names, strict=True))
    renamed = plan(rename(situation, new))
    assert {shape(action) for action in renamed.actions} == {
        shape(rename(action, new)) for action in plan(situation).actions
    }


def shape(action: Action) -> tuple[object, ...]:
    """Give what an action is, without the words that name services in some order."""
    if isinstance(action, Update | Forget):
        return (type(action), action.service)
    target = None if isinstance(action, Start) else action.target.pid
    after = frozenset((wait.service, wait.condition) for wait in action.after)
    return (type(action), action.slot, target, after)


def rename(thing: Any, new: Mapping[str, str]) -> Any:
    """Rename services wherever they are named, but not in words."""
    if isinstance(thing, Mapping):
        return {rename(key, new): rename(value, new) for key, value in thing.items()}
    if isinstance(thing, tuple):
        return tuple(rename(one, new) for one in thing)
    if isinstance(thing, str) and type(thing) is str:
        return new.get(thing, thing)
    if hasattr(thing, "__dataclass_fields__"):
        fields = thing.__dataclass_fields__
        return replace(thing, **{one: rename(getattr(thing, one), new) for one in fields})
    return thing


@slowly
@given(situations())
def test_plans_come_to_an_end_and_then_there_is_nothing_to_do(situation: Situation) -> None:
    count = sum(len(records) for records in situation.slots.values())
    count += sum(one.spec.instances for one in situation.desired.services.values() if one.spec)
    _, last = in_rounds(situation, limit=2 * count + 10)
    assert plan(last).actions == ()


@slowly
@given(manifest_sets())
def test_what_runs_as_wanted_is_left_alone(specs: tuple[ServiceSpec, ...]) -> None:
    # A need that is wanted stopped leaves what runs running, so it counts as wanted here.
    made = plan(converged(*specs))
    assert made.actions == ()
    assert {hold.code for hold in made.holds} <= {HoldCode.COMPLETED}


@slowly
@given(manifest_sets(), st.data())
def test_a_change_touches_that_service_and_what_follows_it(
    specs: tuple[ServiceSpec, ...], data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(specs))
    new = replace(changed, digest=Digest("a new one"))
    situation = converged(*specs)
    desired = settle(manifests(*(new if one is changed else one for one in specs)), {})
    plans, _ = in_rounds(replace(situation, desired=desired), limit=50)
    assert set().union(*map(touched, plans)) <= followers(specs, changed.name)


def followers(specs: Iterable[ServiceSpec], name: ServiceName) -> set[ServiceName]:
    """Give a service and all that ask to be restarted with it."""
    follows = {
        spec.name: [one.service for one in spec.needs if one.on_restart is OnRestart.RESTART]
        for spec in specs
    }
    return reach(reverse(follows), [name])


@slowly
@given(manifest_sets(), st.data())
def test_a_description_touches_nothing(specs: tuple[ServiceSpec, ...], data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from(specs))
    new = replace(changed, description="quite another", labels={"tier": "front"})
    desired = settle(manifests(*(new if one is changed else one for one in specs)), {})
    made = plan(replace(converged(*specs), desired=desired))
    assert made.actions == (
        Update(
            service=changed.name,
            fields=("description", "labels"),
            because="its manifest changed",
        ),
    )


# --- order, against slow twins that go round by round ------------------------------------------


@slowly
@given(manifest_sets())
def test_a_cold_start_goes_round_by_round_as_needs_are_met(
    specs: tuple[ServiceSpec, ...],
) -> None:
    services = {spec.name: memory_of(spec) for spec in specs}
    empty = replace(converged(*specs), slots={}, services=services)
    plans, _ = in_rounds(empty, limit=20)
    rounds = [started_now(made) for made in plans]
    assert rounds == naive_rounds({spec.name: spec for spec in specs})


def started_now(made: Plan) -> set[ServiceName]:
    return {one.slot.service for one in made.actions if isinstance(one, Start) and not one.after}


def naive_rounds(specs: Mapping[ServiceName, ServiceSpec]) -> list[set[ServiceName]]:
    """Start whatever can be started, round by round, by asking everybody each time."""
    up: set[ServiceName] = set()
    rounds: list[set[ServiceName]] = []

    def waited_for(spec: ServiceSpec) -> set[ServiceName]:
        return {one.service for one in spec.needs if one.required or comes(specs[one.service])}

    def comes(spec: ServiceSpec) -> bool:
        needed = [specs[one.service] for one in spec.needs if one.required]
        return spec.wants_to_run and all(map(comes, needed))

    while True:
        following = {
            name
            for name, spec in specs.items()
            if spec.wants_to_run and name not in up and waited_for(spec) <= up
        }
        if not following:
            return rounds
        rounds.append(following)
        up |= following


@slowly
@given(manifest_sets())
def test_a_shutdown_goes_round_by_round_dependents_first(
    specs: tuple[ServiceSpec, ...],
) -> None:
    situation = replace(converged(*specs), shutting_down=True)
    running = set(situation.slots) - {spec.name for spec in specs if spec.is_oneshot}
    plans, _ = in_rounds(situation, limit=20)
    rounds = [
        {one.slot.service for one in made.actions if isinstance(one, Stop) and not one.after}
        for made in plans
    ]
    assert rounds == naive_ends({spec.name: spec for spec in specs}, running)


def naive_ends(
    specs: Mapping[ServiceName, ServiceSpec], running: set[ServiceName]
) -> list[set[ServiceName]]:
    """Stop whatever nothing that runs needs any more, however indirectly, round by round."""
    needs = {name: [one.service for one in spec.needs] for name, spec in specs.items()}
    rounds: list[set[ServiceName]] = []
    while running:
        needed = {name for one in running for name in reach(needs, needs[one])}
        following = running - needed
        rounds.append(following)
        running = running - following
    return rounds


@slowly
@given(situations())
def test_actions_are_listed_in_an_order_in_which_they_can_be_done(situation: Situation) -> None:
    made = plan(situation)
    ends = [one for one in made.actions if isinstance(one, Stop)]
    for position, action in enumerate(ends):
        waited_for = {wait.service for wait in action.after}
        later = {one.slot.service for one in ends[position + 1 :]}
        assert not waited_for & (later - {action.slot.service})


@slowly
@given(situations())
def test_every_empty_slot_that_is_wanted_gets_an_action_or_a_reason(
    situation: Situation,
) -> None:
    if situation.shutting_down:
        return
    made = plan(situation)
    spoken_of = {one.slot for one in made.actions if isinstance(one, Start)}
    spoken_of |= {hold.slot for hold in made.holds if hold.slot is not None}
    for name, wanted in situation.desired.services.items():
        spec = wanted.spec
        if spec is None or spec.state is DesiredState.STOPPED:
            continue
        for index in range(spec.instances):
            record = situation.slots.get(name, {}).get(index)
            is_empty = record is None or (record.process is None and record.pending is None)
            slots = {one.index for one in spoken_of if one.service == name}
            assert not is_empty or index in slots


def test_a_stray_is_killed_and_nothing_else_is_touched() -> None:
    situation = converged(service("web"), oneshot("prepare"))
    found = situation.slots[ServiceName("web")][0].process
    assert isinstance(found, Process)
    stray = replace(found, id=replace(found.id, pid=9999))
    made = plan(replace(situation, strays=(stray,)))
    assert made.actions == (
        Kill(slot=stray.slot, target=stray.id, because="a second process in this slot"),
    )


def test_an_action_that_waits_says_for_whom() -> None:
    specs = (service("web", "db"), service("db"))
    desired = settle(manifests(service("web", "db", edition=2), service("db", edition=2)), {})
    made = plan(replace(converged(*specs), desired=desired))
    restarts = [one for one in made.actions if isinstance(one, Restart)]
    assert [str(one.slot) for one in restarts] == ["db-0", "web-0"]
    assert [str(wait) for one in restarts for wait in one.after] == ["web: stopped"]


def test_nothing_wanted_and_nothing_found_is_nothing_to_do() -> None:
    assert plan(Situation(now=converged().now, desired=Desired())) == Plan()


@pytest.mark.parametrize(
    ("policy", "is_over"),
    [(RestartPolicy.ALWAYS, False), (RestartPolicy.ON_FAILURE, True), (RestartPolicy.NEVER, True)],
)
def test_what_always_runs_again_is_never_over_though_nobody_saw_how_it_ended(
    policy: RestartPolicy, is_over: bool
) -> None:
    spec = service("a", restart=policy)
    slot = Slot(service=spec.name, index=0)
    memory = SlotMemory(slot=slot, done=spec.digest, done_at=Nanos(1))
    assert is_done(SlotRecord(memory=memory), spec, Nanos(0)) is is_over
