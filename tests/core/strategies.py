"""What Hypothesis makes up of services, as the core knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from hypothesis import strategies as st

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
from reconciler.model.units import Digest, Nanos, seconds
from tests.core.building import TCP, service

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
                required=draw(st.booleans()),
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
