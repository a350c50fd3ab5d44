"""Chains of reasons, findings, and what events mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.change import Verb
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.observed import Exit, State
from reconciler.model.record import PruneHold
from reconciler.model.units import Nanos, ServiceName
from reconciler.ports import EventRecord
from reconciler.runtime.checkup import Vitals, examine
from reconciler.runtime.control import Grade
from reconciler.runtime.messages import Phase
from reconciler.runtime.pursuit import action_of
from reconciler.runtime.reasons import chain
from tests.runtime.fakes import service
from tests.runtime.pictures import down, picture, running, waiting

WEB = ServiceName("web")


def test_a_chain_goes_down_to_what_is_at_fault() -> None:
    crashed = down("db", reason="exited with 1")
    seen = picture(waiting("web", "api"), waiting("api", "db"), crashed)
    links = chain(seen, WEB)
    assert [(link.service, link.depth) for link in links] == [("web", 0), ("api", 1), ("db", 2)]
    assert links[-1].because == "exited with 1"
    assert links[0].file == "services.d/web.yaml:1:1"


def test_a_chain_names_the_fault_of_a_manifest() -> None:
    fault = Diagnostic(source=Source(file="f.yaml", line=3), code="W1", message="it is bad")
    links = chain(picture(replace(running("web"), invalid=(fault,))), WEB)
    assert [(link.state, link.because, link.file) for link in links][1] == (
        "invalid",
        "W1 it is bad",
        "f.yaml:3:1",
    )


def test_a_chain_that_bites_its_tail_ends() -> None:
    assert len(chain(picture(waiting("web", "api"), waiting("api", "web")), WEB)) == 2


def test_the_last_exit_is_told_where_the_reason_does_not() -> None:
    starting = down("web", state=State.STARTING, code="", reason="connection refused")
    ended = replace(starting.slots[0], last_exit=Exit(at=Nanos(1), code=3))
    [link] = chain(picture(replace(starting, slots=(ended,))), WEB)
    assert link.because == "connection refused; its last end: exited with 3"


def test_one_that_is_well_says_so() -> None:
    [link] = chain(picture(running("web")), WEB)
    assert link.because == "its manifest says running, and it is"


def test_one_that_was_restarted_says_when_and_why() -> None:
    well = running("web")
    restarted = replace(
        well.slots[0],
        restarts=2,
        last_restart=Nanos(7 * 10**9),
        last_exit=Exit(at=Nanos(5 * 10**9), signal="SIGKILL"),
    )
    shown = picture(replace(well, slots=(restarted,)))
    [link] = chain(replace(shown, now=Nanos(10 * 10**9)), WEB)
    assert link.because == (
        "its manifest says running, and it is; restarted 3 s ago: killed by SIGKILL"
    )


HEALTHY = Vitals(picture=picture(running("web")), holder_pid=2, files_allowed=4096)

UNLOADABLE = Diagnostic(
    source=Source(file="services.d/web.yaml", line=3, column=1),
    code="W310",
    message="a change of gone (reloadOn) cannot be seen",
    is_warning=True,
)
WARNED = replace(picture(running("web")), diagnostics=(UNLOADABLE,))


def test_a_healthy_daemon_has_nothing_but_good_findings() -> None:
    assert {finding.grade for finding in examine(HEALTHY)} == {Grade.OK}


def test_what_the_record_is_kept_with_is_a_finding_of_its_own() -> None:
    record = {"library": "SQLite 3 is fine", "size": "4 MiB", "state": "writable"}
    found = {finding.check: finding.text for finding in examine(replace(HEALTHY, record=record))}
    assert found["record"] == "size: 4 MiB; state: writable"
    assert found["library"] == "SQLite 3 is fine"


@pytest.mark.parametrize(
    ("vitals", "check", "grade"),
    [
        (replace(HEALTHY, holder_pid=None), "holder", Grade.PROBLEM),
        (replace(HEALTHY, holder_trouble="disk full"), "holder", Grade.PROBLEM),
        (replace(HEALTHY, record_trouble="disk full"), "record", Grade.PROBLEM),
        (replace(HEALTHY, watch_trouble="no watches left"), "watch", Grade.WARNING),
        (replace(HEALTHY, unwatched={WEB: ("nope",)}), "web", Grade.WARNING),
        (replace(HEALTHY, picture=WARNED), "manifests", Grade.WARNING),
        (replace(HEALTHY, is_unsigned=True), "signing", Grade.WARNING),
        (replace(HEALTHY, keys_fault="gpgHome is not there"), "keys", Grade.PROBLEM),
        (replace(HEALTHY, files_allowed=64), "open files", Grade.WARNING),
        (replace(HEALTHY, other_troubles=("a port",)), "daemon", Grade.PROBLEM),
        (replace(HEALTHY, picture=picture(source_held="a rebase")), "manifests", Grade.WARNING),
        (replace(HEALTHY, picture=picture(down("web", code="GaveUp"))), "web", Grade.PROBLEM),
        (replace(HEALTHY, picture=picture(down("web", code="Refused"))), "web", Grade.WARNING),
        (replace(HEALTHY, picture=picture(down("web", code="MemoryShort"))), "web", Grade.WARNING),
        (replace(HEALTHY, picture=picture(down("web", code="BackingOff"))), "web", Grade.WARNING),
        (
            replace(HEALTHY, picture=picture(prune=PruneHold(id="1", services=(), because="all"))),
            "removal",
            Grade.WARNING,
        ),
    ],
)
def test_what_is_wrong_is_found(vitals: Vitals, check: str, grade: Grade) -> None:
    bad = [finding for finding in examine(vitals) if finding.grade is not Grade.OK]
    assert [(finding.check, finding.grade) for finding in bad] == [(check, grade)]


def event(kind: str) -> EventRecord:
    return EventRecord(
        seq=1,
        time=0.0,
        kind=kind,
        service="web",
        instance="web-0",
        reason="so",
        revision="",
        actor="",
    )


@pytest.mark.parametrize(
    ("kind", "planned", "meaning"),
    [
        ("service.starting", (Verb.START,), (Verb.START, Phase.START)),
        ("service.ready", (Verb.START,), (Verb.START, Phase.DONE)),
        ("service.stopping", (Verb.STOP,), (Verb.STOP, Phase.START)),
        ("service.stopped", (Verb.STOP,), (Verb.STOP, Phase.DONE)),
        ("service.stopping", (Verb.RESTART,), (Verb.RESTART, Phase.START)),
        ("service.stopped", (Verb.RESTART,), None),
        ("service.ready", (Verb.RESTART,), (Verb.RESTART, Phase.DONE)),
        ("service.crashed", (Verb.START,), (Verb.START, Phase.FAILED)),
        ("service.refused", (Verb.START,), (Verb.START, Phase.FAILED)),
        ("service.refused", (Verb.RESTART,), (Verb.RESTART, Phase.FAILED)),
        ("service.refused", (Verb.STOP,), (Verb.STOP, Phase.FAILED)),
        ("service.crashed", (Verb.RESTART,), (Verb.RESTART, Phase.FAILED)),
        ("config.changed", (Verb.UPDATE,), (Verb.UPDATE, Phase.DONE)),
        ("config.changed", (Verb.RESTART,), None),
        ("service.registered", (), None),
    ],
)
def test_events_mean_actions(
    kind: str, planned: tuple[Verb, ...], meaning: tuple[Verb, Phase] | None
) -> None:
    action = action_of(event(kind), planned, service("web"))
    assert (action and (action.action, action.phase)) == meaning


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        ("service.starting", (Verb.START, Phase.START)),
        ("service.ready", (Verb.START, Phase.DONE)),
        ("service.stopping", (Verb.STOP, Phase.START)),
        ("service.stopped", (Verb.STOP, Phase.DONE)),
        ("service.crashed", (Verb.START, Phase.FAILED)),
    ],
)
def test_who_helps_out_in_a_restart_comes_and_goes(kind: str, meaning: tuple[Verb, Phase]) -> None:
    one = replace(event(kind), instance="web-1")
    action = action_of(one, (Verb.RESTART,), service("web"))
    assert (action and (action.action, action.phase)) == meaning


def test_a_oneshot_is_done_when_it_is_completed_not_when_it_is_at_work() -> None:
    spec = running("web", oneshot=True).spec
    assert action_of(event("service.ready"), (Verb.START,), spec) is None
    done = action_of(event("service.completed"), (Verb.START,), spec)
    assert done is not None
    assert done.phase is Phase.DONE
