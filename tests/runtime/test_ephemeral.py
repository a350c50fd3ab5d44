"""What may be applied for a while, and what would outlast it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.listening import AUTO_PORT
from reconciler.model.overlay import Overlay
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, WallTime, seconds
from reconciler.ports import BlockedError, ConflictError, Draft
from reconciler.runtime.ephemeral import Interlude, interlude
from reconciler.runtime.requests import Terms
from reconciler.runtime.tasks import Task
from tests.core.building import manifests, name, service
from tests.runtime.control_desk import TERMS

WEB, OTHER = service("web"), service("web", edition=2)


class StillClock:
    """A clock that stands still."""

    def now(self) -> Nanos:
        return seconds(100)

    def wall(self) -> float:
        return 1_700_000_000.0

    def boot(self) -> str:
        return "boot"


def applied(then: ServiceSpec, *now: ServiceSpec, terms: Terms = TERMS) -> Interlude:
    """Give what applying a service for a minute comes to."""
    task = Task(op="apply", what="apply", services=(then.name,))
    others = [spec for spec in now if spec.name != then.name]
    draft = Draft(manifests=manifests(then, *others))
    return interlude(task, draft, manifests(*now), seconds(60), terms, StillClock())


def test_it_says_who_wants_it_and_until_when() -> None:
    found = applied(OTHER, WEB, terms=replace(TERMS, reason="a leak", if_revision="c1"))
    assert found.overlays == (
        Overlay(
            spec=OTHER,
            ends_at=seconds(160),
            ends=WallTime(seconds(1_700_000_060)),
            lasts=seconds(60),
            actor="uid:1000",
            reason="a leak",
        ),
    )
    assert found.span == "1m"


def test_what_git_says_already_is_nothing_for_a_while() -> None:
    found = applied(WEB, WEB)
    assert (found.overlays, found.ended, found.span) == ((), (name("web"),), "")


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (replace(OTHER, protect=True), WEB),
        (replace(OTHER, protect=False), replace(WEB, protect=True)),
        (replace(service("new"), protect=True), WEB),
    ],
)
def test_protection_is_no_matter_of_a_while(then: ServiceSpec, now: ServiceSpec) -> None:
    with pytest.raises(BlockedError, match="protection is no matter of a while"):
        applied(then, now)


def test_a_port_that_would_have_to_be_written_down_is_refused() -> None:
    with pytest.raises(BlockedError, match="its port would have to be written down"):
        applied(replace(OTHER, port=AUTO_PORT), WEB)


def test_another_revision_than_was_looked_at_is_refused() -> None:
    with pytest.raises(ConflictError, match="c1 is followed, not deadbee"):
        applied(OTHER, WEB, terms=replace(TERMS, if_revision="deadbeef"))
