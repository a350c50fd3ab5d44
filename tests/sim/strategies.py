"""What hypothesis makes up: sets of services, programs, and whole histories of a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hypothesis import strategies as st

from reconciler.model.event import OperationKind
from reconciler.model.spec import (
    Backoff,
    Condition,
    DesiredState,
    Need,
    OnRestart,
    RestartPolicy,
    ServiceSpec,
    ServiceType,
)
from reconciler.model.units import Digest, Nanos, milliseconds, seconds
from tests.core.building import TCP, in_brief, service
from tests.sim.host import Program
from tests.sim.world import World

NAMES = ("a", "b", "c", "d", "e")


T = TypeVar("T")


def some_of(choices: Sequence[T]) -> st.SearchStrategy[list[T]]:
    """Give some of several things, each once."""
    return st.lists(st.sampled_from(choices), unique=True)


@st.composite
def needs_of(draw: st.DrawFn, earlier: tuple[ServiceSpec, ...]) -> tuple[Need, ...]:
    """Give needs among services that come earlier, so that there is no cycle."""
    if not earlier:
        return ()
    chosen = draw(st.lists(st.sampled_from(earlier), unique_by=lambda one: one.name, max_size=2))
    needs = []
    for spec in sorted(chosen, key=lambda one: one.name):
        conditions = [Condition.READY, Condition.READY, Condition.STARTED]
        conditions += [Condition.COMPLETED] if spec.is_oneshot else []
        follow = (OnRestart.NONE, OnRestart.NONE, OnRestart.RESTART)
        needs.append(
            Need(
                service=spec.name,
                condition=draw(st.sampled_from(conditions)),
                on_restart=draw(st.sampled_from(follow)),
            )
        )
    return tuple(needs)


@st.composite
def specs(draw: st.DrawFn, text: str, earlier: tuple[ServiceSpec, ...] = ()) -> ServiceSpec:
    """Give one service; small numbers, so that much happens in little time."""
    spec = service(
        text,
        *draw(needs_of(earlier)),
        edition=draw(st.integers(1, 2)),
        instances=draw(st.sampled_from((1, 1, 1, 2))),
        state=draw(st.sampled_from((DesiredState.RUNNING,) * 5 + (DesiredState.STOPPED,))),
        description=draw(st.sampled_from(("", "new words"))),
        restart=draw(st.sampled_from(tuple(RestartPolicy))),
        max_restarts=draw(st.sampled_from((0, 2, 10))),
        stop_timeout=draw(st.sampled_from((seconds(1), seconds(4)))),
        start_timeout=draw(st.sampled_from((None, seconds(3)))),
        backoff=Backoff(
            initial=draw(st.sampled_from((Nanos(0), seconds(1)))),
            jitter=draw(st.sampled_from((Nanos(0), seconds(1)))),
        ),
    )
    if draw(st.integers(0, 4)) == 0:
        # The type reaches the process, in that it decides what an end of it means.
        return replace(spec, type=ServiceType.ONESHOT, digest=Digest(f"{spec.digest}, oneshot"))
    return replace(spec, ready=draw(st.sampled_from((None, TCP))))


@st.composite
def manifest_sets(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> tuple[ServiceSpec, ...]:
    """Give a few services that need each other without a cycle."""
    found: list[ServiceSpec] = []
    for text in sorted(draw(st.lists(st.sampled_from(names), unique=True, min_size=1))):
        found.append(draw(specs(text, tuple(found))))
    return tuple(found)


GOOD = Program(lives_for=None)
DONE = Program(lives_for=seconds(2))
PROGRAMS = (
    GOOD,
    DONE,
    Program(ready_after=None),
    Program(ready_after=seconds(2)),
    Program(cannot_run="no such file"),
    Program(lives_for=Nanos(0), code=1),
    Program(lives_for=milliseconds(1), code=0),
    Program(lives_for=seconds(3), code=2),
    Program(ends_in=None),
    Program(ends_in=seconds(2)),
    Program(leaves_child=True),
    Program(leaves_child=True, child_ignores=True, lives_for=seconds(4)),
)

Act = Callable[[World], None]


@dataclass(frozen=True)
class Deed:
    """One thing that is done to a world, with the words that repeat it."""

    words: str
    act: Act

    def __repr__(self) -> str:
        return self.words


def _save(found: tuple[ServiceSpec, ...], invalid: str | None, broken: str | None) -> Act:
    good = [spec for spec in found if spec.name not in (invalid, broken)]
    bad = [invalid] if invalid else []
    return lambda world: world.save(*good, invalid=bad, broken=[broken] if broken else [])


@st.composite
def saves(draw: st.DrawFn) -> Deed:
    found = draw(manifest_sets())
    one = st.sampled_from((None, None, None, *NAMES))
    invalid, broken = draw(one), draw(one)
    words = f"save({', '.join(map(in_brief, found))}, {invalid=}, {broken=})"
    return Deed(words, _save(found, invalid, broken))


@st.composite
def behaviours(draw: st.DrawFn) -> Deed:
    which: Mapping[str, Program] = draw(
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(PROGRAMS), min_size=1)
    )
    return Deed(f"become({which})", lambda world: world.become(**which))


def kill_some(index: int, code: int | None) -> Act:
    """End one of the live processes, if there is any."""

    def act(world: World) -> None:
        live = [run for run in world.host.runs.values() if run.exit is None]
        if live:
            run = live[index % len(live)]
            world.host.end(run, code=code, signal="SIGKILL" if code is None else None)

    return act


@st.composite
def deaths(draw: st.DrawFn) -> Deed:
    index, code = draw(st.integers(0, 9)), draw(st.sampled_from((None, 0, 1)))
    return Deed(f"kill_some({index}, {code})", kill_some(index, code))


@st.composite
def requests(draw: st.DrawFn) -> Deed:
    kind = draw(st.sampled_from((OperationKind.RESTART, OperationKind.START)))
    text = draw(st.sampled_from(NAMES))
    return Deed(f"ask({kind}, {text})", lambda world: world.ask(kind, text))


def approve(world: World) -> None:
    """Agree to the removal that is held, if there is one."""
    prune = world.picture.prune
    if prune is not None:
        world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune.id)


@st.composite
def faults(draw: st.DrawFn) -> Deed:
    kind = draw(st.sampled_from(("Spawn", "Signal", "LookAtHost", "Probe")))
    how = draw(st.sampled_from(("loses_next", "drops_next", "doubles_next")))
    return Deed(f"{how}({kind})", lambda world: getattr(world.host, how).add(kind))


@st.composite
def delays(draw: st.DrawFn) -> Deed:
    kind = draw(st.sampled_from(("Spawn", "Signal", "LookAtHost", "Probe")))
    span = draw(st.sampled_from((milliseconds(1), seconds(1), seconds(12))))
    return Deed(f"delay({kind}, {span})", lambda world: world.host.delays.update({kind: span}))


@st.composite
def losses(draw: st.DrawFn) -> Deed:
    span = draw(st.sampled_from((0.1, 3, 20)))
    return Deed(f"lose_holder({span})", lambda world: world.lose_holder(seconds_long=span))


@st.composite
def daemon_deaths(draw: st.DrawFn) -> Deed:
    span = draw(st.sampled_from((0, 0.5, 10)))
    return Deed(f"kill_daemon({span})", lambda world: world.kill_daemon(down_for=span))


@st.composite
def pauses(draw: st.DrawFn) -> Deed:
    span = draw(st.sampled_from((0.001, 0.5, 3, 15)))
    return Deed(f"pass_time({span})", lambda world: world.pass_time(span))


def steps() -> st.SearchStrategy[Deed]:
    return st.just(Deed("step()", lambda world: world.pass_time(0)))


def deeds() -> st.SearchStrategy[Deed]:
    """Give anything that can happen to a host."""
    return st.one_of(
        pauses(),
        pauses(),
        steps(),
        saves(),
        behaviours(),
        deaths(),
        requests(),
        faults(),
        delays(),
        losses(),
        daemon_deaths(),
        st.just(Deed("approve()", approve)),
        st.just(Deed("reboot()", World.reboot)),
        st.just(Deed("sleep(3600)", lambda world: world.sleep(3600))),
        st.just(Deed("hold()", lambda world: world.hold("a rebase is in progress"))),
    )


def histories() -> st.SearchStrategy[list[Deed]]:
    """Give what happens to a host, one thing after another."""
    return st.lists(deeds(), max_size=25)
