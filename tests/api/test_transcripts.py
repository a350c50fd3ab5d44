"""What people read, word for word, in tests/api/transcripts (written anew by --rewrite)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.api.answers_text import (
    catalogue_text,
    doctor_text,
    settings_text,
    usage_text,
    wait_text,
)
from reconciler.api.details_text import Background, details_text
from reconciler.api.diff_text import diff_text
from reconciler.api.events_text import event_line, events_text
from reconciler.api.graph_text import Graph, dot, mermaid, order, tree
from reconciler.api.health_text import health_text, service_health_text
from reconciler.api.history_text import history_text
from reconciler.api.human import cells
from reconciler.api.log_text import log_csv, log_text
from reconciler.api.page import Page
from reconciler.api.rollout_text import rollout_text
from reconciler.api.status_text import status_text
from reconciler.api.why_text import why_text
from reconciler.core.pointers import Pointers
from reconciler.model.change import Effect, FieldChange, ServiceChange, Verb
from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.observed import Exit, State
from reconciler.model.plan import Hold, HoldCode
from reconciler.model.record import PruneHold
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, Sync
from reconciler.model.units import Nanos, seconds
from reconciler.ports import LogEntry, TransitionRecord
from reconciler.runtime.control import Finding, Grade, History, Reason, Scene, Setting, WaitResult
from reconciler.runtime.messages import FileChange, Preview
from reconciler.runtime.requests import Goal, WaitQuery
from tests.api.builders import (
    HERE,
    NOW,
    WALL,
    checked_shop,
    name,
    rolling_shop,
    scene,
    service,
    shop,
    slot_status,
)
from tests.api.honest import some_events, some_lines, some_preview
from tests.api.kept import HERE as FOLDER
from tests.api.kept import check

PAGE = Page()
COLOURED = Page(colour=True)

TYPO = Diagnostic(
    source=Source(file="services.d/x.yaml", line=7, column=3),
    code="W104",
    message="`restrat` is not a service key",
    mend="did you mean `restart`?",
)


def status(stage: Scene, page: Page = PAGE, *, wide: bool = False) -> str:
    return status_text(stage, list(stage.picture.services.values()), page, wide=wide)


def calm() -> Scene:
    services = [s for s in shop().picture.services.values() if s.health is Health.HEALTHY]
    return scene(*services, usage=dict(shop().usage))


def troubled() -> Scene:
    """Everything at once that stands below the table."""
    billing = service(
        "billing", sync=Sync.INVALID, reason="keeps its last good manifest", invalid=(TYPO,)
    )
    old = service("old", sync=Sync.HELD, reason="its removal waits for a yes", desired=None)
    idle = service(
        "idle",
        state=State.STOPPED,
        health=Health.STOPPED,
        desired=DesiredState.STOPPED,
        slots=[slot_status("idle", state=State.STOPPED, up=None)],
    )
    more = [replace(TYPO, source=replace(TYPO.source, line=n)) for n in range(8, 12)]
    return scene(
        billing,
        idle,
        old,
        revision=Revision(commit=HERE.commit, branch="main", dirty=("services.d/x.yaml",)),
        diagnostics=(TYPO, *more),
        prune=PruneHold(id="5f3a", services=(name("old"),), because="4 of 7 services would go"),
        source_held="a rebase is in progress",
        troubles=("cannot save the record: no space left on device",),
    )


def details(of: str, page: Page = PAGE, *, background: Background | None = None) -> str:
    stage = shop()
    return details_text(stage, stage.picture.services[name(of)], background or Background(), page)


def known() -> Background:
    commit = LogEntry(
        commit="3f2c91a" + "0" * 33,
        author="Ada Lovelace",
        at=WALL - 7300,
        subject="worker: set instances=2",
    )
    behind = Pointers(attempted=HERE.commit, applied="c0ffee1" + "0" * 33)
    return Background(commit=commit, log=some_lines(), pointers=behind)


def checked_details() -> str:
    stage = checked_shop()
    return details_text(stage, stage.picture.services[name("api")], Background(), PAGE)


def rolling_details(of: str) -> str:
    stage = rolling_shop()
    return details_text(stage, stage.picture.services[name(of)], Background(), PAGE)


def rollouts(page: Page = PAGE) -> str:
    return rollout_text(list(rolling_shop().picture.services.values()), page)


def broken_details() -> str:
    wrong = service(
        "billing",
        state=State.CRASHED,
        health=Health.DEGRADED,
        sync=Sync.INVALID,
        reason="killed by SIGKILL; gave up after 10 restarts in a row",
        invalid=(TYPO,),
        labels={"tier": "back", "team": "money"},
        needed_by=[f"shop-{n}" for n in range(10)],
        slots=[
            slot_status(
                "billing",
                state=State.CRASHED,
                up=None,
                restarts=10,
                last_exit=Exit(at=Nanos(NOW - seconds(40)), signal="SIGSEGV", core=True),
            )
        ],
    )
    return details_text(scene(wrong), wrong, Background(), PAGE)


def full_preview() -> Preview:
    def change(of: str, verb: Verb, order: int, reason: str) -> ServiceChange:
        processes = 1 if order and verb in {Verb.RESTART, Verb.STOP} else 0
        return ServiceChange(
            service=name(of), verbs=(verb,), order=order, reason=reason, processes=processes
        )

    return Preview(
        mode="offline",
        base=HERE,
        head=Revision(commit="1a2b3c4d" + "0" * 32, branch="topic"),
        changes=(
            change("db-migrate", Verb.RESTART, 1, "env.DB_URL changed"),
            change(
                "worker",
                Verb.RESTART,
                2,
                "needs db-migrate, which restarts (onRestart: "
                "restart), and this reason goes on for longer than a line is wide",
            ),
            change("mail", Verb.START, 3, "new"),
            change("old", Verb.STOP, 4, "its manifest was removed"),
            change("web", Verb.UPDATE, 5, "description changed"),
            replace(change("cron", Verb.STOP, 0, "removed"), held_by="4 of 7 services would go"),
            replace(change("tick", Verb.STOP, 0, "removed"), held_by="4 of 7 services would go"),
        ),
        holds=(
            Hold(service=name("api"), code=HoldCode.DEPENDENCY_NOT_READY, because="needs db"),
            Hold(service=name("seed"), code=HoldCode.COMPLETED, because="completed (0)"),
        ),
        invalid=(TYPO,),
        files=(
            FileChange(
                path="services.d/db-migrate.yaml",
                before="name: db-migrate\nenv:\n  DB_URL: a\n",
                after="name: db-migrate\nenv:\n  DB_URL: b\n",
            ),
            FileChange(
                path="services.d/mail.yaml", before=None, after="name: mail\ncommand: ./m\n"
            ),
            FileChange(path="services.d/old.yaml", before="name: old\n", after=None),
        ),
        unchanged=41,
        moved=(name("web"),),
        if_revision=HERE.commit,
    )


def nothing(mode: str, *dirty: str) -> Preview:
    return Preview(mode=mode, base=HERE, head=replace(HERE, dirty=dirty), unchanged=3)


def live_preview() -> Preview:
    drifted = ServiceChange(
        service=name("db"),
        verbs=(Verb.START,),
        order=1,
        reason="its manifest says running",
        fields=(
            FieldChange(path="env.A", before=None, after="1", effect=Effect.RESTART),
            FieldChange(path="labels.x", before="1", after=None, effect=Effect.METADATA),
        ),
    )
    return replace(some_preview(), drift=(drifted,), unchanged=3)


def graph() -> Graph:
    stage = shop()
    return Graph(
        needs={s.name: s.spec.needs if s.spec else () for s in stage.picture.services.values()},
        states={s.name: s.state for s in stage.picture.services.values()},
    )


def knotted() -> Graph:
    a, b, c = (service(x, needs=[y]).spec for x, y in (("a", "b"), ("b", "a"), ("c", "ghost")))
    return Graph(needs={spec.name: spec.needs for spec in (a, b, c) if spec})


def history() -> str:
    def turned(at: float, before: str, after: str, reason: str, instance: int) -> TransitionRecord:
        return TransitionRecord(
            time=WALL + at,
            service="worker",
            instance=f"worker-{instance}",
            before=before,
            after=after,
            reason=reason,
            actor="uid:1000" if after == "stopping" else "",
            revision=HERE.commit,
            digest="d1",
        )

    commits = [known().commit]
    return history_text(
        History(
            service=name("worker"),
            transitions=[
                turned(9, "stopped", "starting", "its manifest says running", 0),
                turned(5, "running", "stopping", "restart", 1),
                turned(2, "starting", "running", "ready after 1 s", 0),
                turned(1, "stopped", "running", "adopted, running", 1),
            ],
            commits=[entry for entry in commits if entry],
        ),
        PAGE,
    )


def why() -> str:
    return why_text(
        [
            Reason(service=name("web"), state="starting", because="needs api to be ready"),
            Reason(service=name("api"), state="starting", because="needs db to be ready", depth=1),
            Reason(
                service=name("db"),
                state="crashed",
                because="exited with 1, 3 times in a row, each time within a second of its start; "
                "starts again in 4 s",
                file="services.d/db.yaml:3:1",
                depth=2,
            ),
        ],
        PAGE,
    )


def doctor() -> str:
    return doctor_text(
        [
            Finding(check="disk", grade=Grade.PROBLEM, text="no space left", mend="make room"),
            Finding(check="python", grade=Grade.OK, text="3.11.2"),
            Finding(
                check="git identity",
                grade=Grade.WARNING,
                text="none is set, so commits are by uid:0 <uid-0@weaver.invalid>, which "
                "nobody recognises later",
                mend="git config user.name NAME",
            ),
        ],
        PAGE,
    )


def settings() -> str:
    return settings_text(
        [
            Setting(path="git.autoCommit", value="true", is_default=True),
            Setting(path="metrics.listen", value="127.0.0.1:9100", is_default=False),
        ],
        PAGE,
    )


def waits() -> str:
    query = WaitQuery(goal=Goal.READY, services=(name("api"), name("db")))
    missing = {name("db"): "exited with 1"}
    return wait_text(query, WaitResult(exit_code=0, seconds=2.25), PAGE) + wait_text(
        query, WaitResult(exit_code=9, missing=missing, seconds=60), PAGE
    )


def healths(page: Page = PAGE) -> str:
    return health_text(checked_shop(), list(checked_shop().picture.services.values()), page)


def health_of(of: str, page: Page = PAGE) -> str:
    stage = checked_shop()
    return service_health_text(stage, stage.picture.services[name(of)], page)


EVERYTHING: dict[str, Callable[[], str]] = {
    "status": lambda: status(shop()),
    "status-110": lambda: status(shop(), Page(width=110)),
    "status-40": lambda: status(shop(), Page(width=40)),
    "status-calm": lambda: status(calm()),
    "status-colour": lambda: status(shop(), COLOURED),
    "status-empty": lambda: status(scene()),
    "status-problems-none": lambda: status_text(calm(), [], PAGE),
    "status-troubled": lambda: status(troubled()),
    "status-wide": lambda: status(shop(), wide=True),
    "details": lambda: details("worker", background=known()),
    "details-broken": broken_details,
    "details-narrow": lambda: details("mailer", Page(width=50)),
    "details-waiting": lambda: details("importer"),
    "diff": lambda: diff_text(full_preview(), PAGE),
    "diff-colour": lambda: diff_text(full_preview(), COLOURED),
    "diff-live": lambda: diff_text(live_preview(), PAGE),
    "diff-none": lambda: diff_text(nothing("live"), PAGE),
    "diff-none-dirty": lambda: diff_text(nothing("live", "services.d/web.yaml"), PAGE),
    "diff-none-offline": lambda: diff_text(nothing("offline"), PAGE),
    "events": lambda: events_text(some_events(), PAGE, {"db"}),
    "events-folded": lambda: events_text(some_events(), Page(width=60, folds=True), {"db"}),
    "events-none": lambda: events_text([], PAGE),
    "events-foreground": lambda: "".join(
        f"{event_line(record, COLOURED)}\n" for record in some_events()
    ),
    "graph": lambda: tree(graph(), PAGE),
    "graph-around": lambda: tree(graph().around(name("db")), PAGE),
    "graph-knotted": lambda: tree(knotted(), PAGE) + order(knotted()),
    "graph-mermaid": lambda: mermaid(graph()),
    "graph-dot": lambda: dot(graph()),
    "graph-order": lambda: order(graph()) + "\n" + order(graph(), stopping=True),
    "health": healths,
    "health-40": lambda: healths(Page(width=40)),
    "health-none": lambda: health_text(shop(), list(shop().picture.services.values()), PAGE),
    "health-of-api": lambda: health_of("api"),
    "health-of-db-colour": lambda: health_of("db", COLOURED),
    "health-of-mailer": lambda: health_of("mailer"),
    "health-of-worker": lambda: health_of("worker"),
    "details-checked": checked_details,
    "details-rolling": lambda: rolling_details("api"),
    "details-kept-away": lambda: rolling_details("web"),
    "rollouts": rollouts,
    "rollouts-40": lambda: rollouts(Page(width=40)),
    "rollouts-none": lambda: rollout_text(list(shop().picture.services.values()), PAGE),
    "history": history,
    "logs": lambda: log_text(some_lines(), PAGE, prefixed=True, several={"worker"}),
    "logs-colour": lambda: log_text(some_lines("api"), COLOURED, prefixed=True),
    "logs-csv": lambda: log_csv(some_lines(), titles=True),
    "why": why,
    "doctor": doctor,
    "settings": settings,
    "waits": waits,
    "catalogue": lambda: catalogue_text(list(shop().picture.services.values()), PAGE),
    "usage": lambda: usage_text(shop(), list(shop().picture.services.values()), PAGE),
}


@pytest.mark.parametrize("what", EVERYTHING)
def test_people_read_what_is_kept(what: str, request: pytest.FixtureRequest) -> None:
    text = EVERYTHING[what]().replace("\x1b", "\\e")
    check(request, FOLDER / "transcripts" / f"{what}.txt", text)


def test_every_kept_text_is_made_by_something() -> None:
    kept = {path.stem for path in (FOLDER / "transcripts").glob("*.txt")}
    assert kept == set(EVERYTHING)


WIDER = {"status-wide", "status-110", "history", "logs-csv"}
"""Made to be wider, or never cut: a terminal breaks them."""


@pytest.mark.parametrize("what", sorted(EVERYTHING.keys() - WIDER))
def test_everything_is_readable_at_80_columns(what: str) -> None:
    text = re.sub("\x1b\\[[0-9;]*m", "", EVERYTHING[what]())
    lines = [line for line in text.splitlines() if not line.startswith("Plan: ")]
    assert [line for line in lines if cells(line) > 80] == []
