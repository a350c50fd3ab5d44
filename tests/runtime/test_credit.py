"""In whose name things happen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Source
from reconciler.model.event import Decision, Happening, Transition
from reconciler.model.observed import Slot, State
from reconciler.model.plan import HoldCode
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, Picture, ServiceStatus, Sync
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


def status(
    name: str,
    *,
    state: State = State.RUNNING,
    sync: Sync = Sync.SYNCED,
    reason_code: str = "",
    needs: tuple[ServiceName, ...] = (),
) -> ServiceStatus:
    return ServiceStatus(
        name=ServiceName(name),
        spec=None,
        source=Source(file=f"services.d/{name}.yaml"),
        desired=DesiredState.RUNNING,
        state=state,
        sync=sync,
        health=Health.HEALTHY,
        reason="",
        reason_code=reason_code,
        waiting_for=(),
        waiting_since=None,
        needs=needs,
        needed_by=(),
        slots=(),
    )


def seen(*services: ServiceStatus) -> Picture:
    return replace(picture(converged=False), services={each.name: each for each in services})


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


@pytest.mark.parametrize("code", [HoldCode.REFUSED, HoldCode.MEMORY_SHORT, HoldCode.SCHEDULED])
def test_what_comes_again_by_itself_is_nobody_s(code: HoldCode) -> None:
    credit = given()
    credit.look(seen(status("web", sync=Sync.OUT_OF_SYNC, reason_code=code)))
    assert actor(credit.sign(told("service.starting"), READ)) == ""


def test_of_a_service_it_ends_when_that_is_as_wanted_while_others_are_not() -> None:
    credit = given()
    credit.look(seen(status("api", sync=Sync.OUT_OF_SYNC), status("web")))
    assert actor(credit.sign(told("log.astray"), READ)) == ""
    assert actor(credit.sign(told("service.starting", API), READ)) == "uid:7"


def test_of_one_that_needs_another_it_goes_on_as_long_as_of_that() -> None:
    credit = given()
    credit.look(seen(status("api", state=State.STARTING), status("web", needs=(API,))))
    assert actor(credit.sign(told("service.stopping"), READ)) == "uid:7"
    credit.look(seen(status("api"), status("web", needs=(API,))))
    assert actor(credit.sign(told("service.stopping"), READ)) == ""


def test_nothing_ends_by_the_picture_of_another_commit() -> None:
    credit = given()
    credit.look(replace(seen(status("web")), revision=Revision(commit="c0")))
    assert actor(credit.sign(told("service.starting"), READ)) == "uid:7"


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
