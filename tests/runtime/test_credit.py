"""In whose name things happen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.desired import Revision
from reconciler.model.event import Decision, Happening, Transition
from reconciler.model.observed import Slot, State
from reconciler.model.status import Picture
from reconciler.model.units import Nanos, ServiceName
from reconciler.runtime.credit import BY_ITSELF, Credit
from tests.runtime.fakes import manifests, service

WEB, API = ServiceName("web"), ServiceName("api")
COMMIT = Revision(commit="c1")
READ = replace(manifests(service("web")), revision=COMMIT)


def told(kind: str, name: ServiceName = WEB) -> Decision:
    return Decision(happenings=(Happening(kind=kind, service=name),))


def crashed(name: ServiceName = WEB) -> Decision:
    change = Transition(
        slot=Slot(service=name, index=0), before=State.RUNNING, after=State.CRASHED, reason=""
    )
    return replace(told("service.crashed", name), transitions=(change,))


def picture(*, converged: bool, commit: str = "c1") -> Picture:
    return Picture(now=Nanos(1), revision=Revision(commit=commit), converged=converged)


def given() -> Credit:
    credit = Credit()
    credit.give("c1", "uid:7")
    return credit


def actor(decision: Decision) -> str:
    return decision.happenings[0].actor


def test_what_follows_from_a_commit_carries_the_name_of_who_made_it() -> None:
    assert actor(given().sign(told("service.starting"), READ)) == "uid:7"


def test_a_change_of_state_carries_it_too() -> None:
    change = Transition(
        slot=Slot(service=WEB, index=0), before=State.STOPPED, after=State.STARTING, reason=""
    )
    signed = given().sign(Decision(transitions=(change,)), READ)
    assert signed.transitions[0].actor == "uid:7"


def test_nothing_does_before_the_commit_is_read() -> None:
    old = replace(READ, revision=Revision(commit="c0"))
    credit = given()
    assert actor(credit.sign(told("service.starting"), old)) == ""
    assert actor(credit.sign(told("service.starting"), READ)) == "uid:7"


@pytest.mark.parametrize("kind", sorted(BY_ITSELF))
def test_what_nobody_asks_for_is_nobody_s(kind: str) -> None:
    assert actor(given().sign(told(kind), READ)) == ""


def test_what_a_crash_began_is_nobody_s() -> None:
    credit = given()
    signed = credit.sign(crashed(), READ)
    assert (actor(signed), signed.transitions[0].actor) == ("", "")
    assert actor(credit.sign(told("service.starting"), READ)) == ""
    assert actor(credit.sign(told("service.starting", API), READ)) == "uid:7"


def test_it_ends_when_all_is_as_the_commit_wants() -> None:
    credit = given()
    credit.look(picture(converged=True, commit="c0"))
    credit.look(picture(converged=False))
    assert actor(credit.sign(told("service.starting"), READ)) == "uid:7"
    credit.look(picture(converged=True))
    assert actor(credit.sign(told("service.starting"), READ)) == ""


def test_it_ends_when_somebody_saves_something_else() -> None:
    credit = given()
    credit.sign(told("service.starting"), READ)
    assert actor(credit.sign(told("service.starting"), replace(READ))) == "uid:7"
    edited = replace(READ, revision=replace(COMMIT, dirty=("services.d/web.yaml",)))
    assert actor(credit.sign(told("service.starting"), edited)) == ""
    assert actor(credit.sign(told("service.starting"), READ)) == ""


def test_who_is_named_already_stays_named() -> None:
    happening = Happening(kind="git.committed", actor="uid:9")
    assert actor(given().sign(Decision(happenings=(happening,)), READ)) == "uid:9"
