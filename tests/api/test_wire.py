"""The JSON keys that scripts rely on: those of the contract, and whole documents kept as text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.api.graph_text import Graph
from reconciler.api.page import Page
from reconciler.api.wire import answers, catalogue
from reconciler.api.wire.base import Document, document, line, timestamp
from reconciler.api.wire.health import health_document
from reconciler.api.wire.messages import message_keys
from reconciler.api.wire.preview import diff_document, diff_exit_code
from reconciler.api.wire.records import events_document, history_document, log_keys
from reconciler.api.wire.rollout import rollout_document
from reconciler.api.wire.status import status_document
from reconciler.api.yaml_text import yaml_text
from reconciler.core.pointers import Pointers
from reconciler.model.change import Verb
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.log import LogLine
from reconciler.model.observed import Exit, State
from reconciler.model.plan import Hold, HoldCode
from reconciler.model.status import Health
from reconciler.model.units import Nanos
from reconciler.ports import LogEntry, TransitionRecord
from reconciler.runtime.control import Finding, Grade, History, Reason, Setting, WaitResult
from reconciler.runtime.messages import (
    ActionSeen,
    CommitMade,
    Converged,
    EventSeen,
    Message,
    Note,
    Phase,
    Planned,
    Preview,
    Problem,
    Summary,
)
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
from tests.api.test_transcripts import TYPO, full_preview, graph, troubled

CONTRACT_SERVICE = [
    "name",
    "displayName",
    "description",
    "version",
    "labels",
    "desired",
    "state",
    "sync",
    "health",
    "reason",
    "reasonCode",
    "waitingFor",
    "specDigest",
    "revision",
    "file",
    "dependsOn",
    "dependents",
    "instances",
]
CONTRACT_INSTANCE = [
    "id",
    "slot",
    "pid",
    "state",
    "ready",
    "startedAt",
    "stoppedAt",
    "uptime",
    "restartCount",
    "lastRestart",
    "cpu",
    "memory",
    "healthStatus",
    "lastHealthCheck",
    "lastExit",
]
CONTRACT_DIFF = [
    "formatVersion",
    "exitCode",
    "mode",
    "base",
    "head",
    "changes",
    "drift",
    "held",
    "invalid",
    "summary",
]
CONTRACT_COUNTS = ["start", "stop", "restart", "reload", "update", "held", "invalid", "unchanged"]


def history() -> History:
    turned = TransitionRecord(
        time=WALL,
        service="web",
        instance="web-0",
        before="starting",
        after="running",
        reason="ready",
        actor="",
        revision=HERE.commit,
        digest="",
    )
    entry = LogEntry(commit="3f2c91a", author="Ada", at=WALL, subject="s", trailers={"K": "v"})
    return History(service=name("web"), transitions=[turned], commits=[entry])


DOCUMENTS: dict[str, Document] = {
    "status": status_document(shop(), list(shop().picture.services.values())),
    "status-troubled": status_document(troubled(), list(troubled().picture.services.values()), 7),
    "status-rolling": status_document(
        rolling_shop(), list(rolling_shop().picture.services.values()), 7
    ),
    "rollouts": rollout_document(list(rolling_shop().picture.services.values())),
    "status-named": status_document(
        shop(),
        [shop().picture.services[name("api")]],
        pointers={name("api"): Pointers(attempted=HERE.commit, applied="c0ffee1", healthy="")},
    ),
    "diff": diff_document(full_preview()),
    "events": events_document(some_events()),
    "history": history_document(history()),
    "graph": catalogue.graph_document(graph()),
    "why": answers.why_document(
        name("web"), [Reason(service=name("web"), state="starting", because="needs db")]
    ),
    "doctor": answers.doctor_document(
        [Finding(check="disk", grade=Grade.PROBLEM, text="full", mend="make room")]
    ),
    "config": answers.config_document(
        [Setting(path="git.autoCommit", value="true", is_default=True)]
    ),
    "wait": answers.wait_document(
        WaitResult(exit_code=9, missing={name("web"): "needs db"}, seconds=60)
    ),
    "validate": answers.validate_document(["services.d/x.yaml"], ["web"], [TYPO]),
    "usage": catalogue.usage_document(shop(), list(shop().picture.services.values())),
    "health": health_document(checked_shop(), list(checked_shop().picture.services.values())),
    "services": catalogue.CatalogueDocument(
        services=[catalogue.catalogue_keys(s) for s in shop().picture.services.values()]
    ),
}

MESSAGES: tuple[Message, ...] = (
    Planned(preview=some_preview(), dry_run=True),
    CommitMade(commit=HERE.commit, changed=True, files=("services.d/web.yaml",)),
    ActionSeen(service=name("web"), action=Verb.RESTART, phase=Phase.FAILED, reason="exited"),
    EventSeen(event=some_events()[0]),
    Converged(revision=HERE, services=(name("web"),), seconds=0.25),
    Note(text="no git identity"),
    Problem(title="cannot stop db: web needs it", mend="--only", exit_code=5, diagnostics=(TYPO,)),
    Summary(exit_code=5, text="nothing was changed"),
)


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_document_is_what_is_kept(what: str, request: pytest.FixtureRequest) -> None:
    check(request, FOLDER / "golden" / f"{what}.json", document(DOCUMENTS[what]).decode())


def test_messages_are_what_is_kept(request: pytest.FixtureRequest) -> None:
    text = b"".join(line(message_keys(message, Page())) for message in MESSAGES).decode()
    check(request, FOLDER / "golden" / "messages.ndjson", text)


def test_lines_of_logs_are_what_is_kept(request: pytest.FixtureRequest) -> None:
    lifted = LogLine(
        service=name("api"),
        instance="api-0",
        stream="stderr",
        message="slow",
        level="warn",
        pid=7,
        lifted={"requestId": "r1", "error": {"name": "E"}, "service": "forged"},
        fields={"path": "/x"},
    )
    text = b"".join(line(log_keys(entry)) for entry in (*some_lines()[:1], lifted)).decode()
    assert "forged" not in text
    check(request, FOLDER / "golden" / "logs.ndjson", text)


def test_every_document_begins_with_its_format_and_its_exit_code() -> None:
    for content in DOCUMENTS.values():
        assert list(json.loads(document(content)))[:2] == ["formatVersion", "exitCode"]


CONTRACT_HEALTH = [
    "service",
    "timestamp",
    "status",
    "responseTime",
    "checkType",
    "passed",
    "error",
    "metadata",
    "consecutiveFailures",
    "consecutiveSuccesses",
]


def test_the_keys_of_a_check_are_those_of_the_contract() -> None:
    checks = json.loads(document(DOCUMENTS["health"]))["checks"]
    assert all([key for key in one if key in CONTRACT_HEALTH] == CONTRACT_HEALTH for one in checks)
    assert [one["status"] for one in checks] == ["healthy", "degraded", "unhealthy", None, None]


def test_status_says_when_each_instance_was_last_checked() -> None:
    stage = checked_shop()
    found = json.loads(document(status_document(stage, list(stage.picture.services.values()))))
    said = {
        one["id"]: (one["healthStatus"], one["lastHealthCheck"])
        for service in found["services"]
        for one in service["instances"]
    }
    assert said == {
        "db-0": ("healthy", "2023-11-14T22:13:16.000Z"),
        "api-0": ("degraded", "2023-11-14T22:13:16.000Z"),
        "api-1": ("unhealthy", "2023-11-14T22:13:16.000Z"),
        "worker-0": (None, None),
        "worker-1": (None, None),
        "mailer-0": ("healthy", None),
    }


def test_the_keys_of_the_contract_are_there() -> None:
    status = json.loads(document(DOCUMENTS["status"]))
    assert set(CONTRACT_SERVICE) <= status["services"][0].keys()
    assert set(CONTRACT_INSTANCE) <= status["services"][0]["instances"][0].keys()
    assert {"commit", "branch", "dirty"} <= status["revision"].keys()
    assert {"pid", "version", "uptime", "holderPid"} <= status["daemon"].keys()
    diff = json.loads(document(DOCUMENTS["diff"]))
    assert set(CONTRACT_DIFF) <= diff.keys()
    assert list(diff["summary"]) == sorted(diff["summary"], key=CONTRACT_COUNTS.index)
    assert set(diff["summary"]) == set(CONTRACT_COUNTS)


@pytest.mark.parametrize(
    ("ended", "keys"),
    [
        (Exit(at=NOW, code=1), {"code": 1, "signal": None}),
        (Exit(at=NOW, signal="SIGKILL"), {"code": None, "signal": "SIGKILL"}),
        (Exit(at=NOW, unknown=True), {"code": None, "signal": None, "unknown": True}),
    ],
    ids=["exited", "killed", "nobody saw it"],
)
def test_how_a_process_ended(ended: Exit, keys: dict[str, Any]) -> None:
    slot = slot_status("web", state=State.CRASHED, up=None, last_exit=ended)
    web = service("web", slots=[slot])
    found = json.loads(document(status_document(scene(web), [web])))
    last = found["services"][0]["instances"][0]["lastExit"]
    assert last == {**keys, "at": timestamp(WALL)}


def test_nothing_is_said_of_a_process_where_none_runs() -> None:
    web = service("web", state=State.STOPPED, slots=[slot_status("web", up=None)])
    found = json.loads(document(status_document(scene(web), [web])))["services"][0]["instances"]
    empty = ("pid", "startedAt", "uptime", "cpu", "memory", "lastExit")
    assert [found[0][key] for key in empty] == [None] * len(empty)


@pytest.mark.parametrize(
    ("preview", "code"),
    [
        (Preview(mode="live", base=HERE, head=HERE), 0),
        (some_preview(), 1),
        (Preview(mode="live", base=HERE, head=HERE, drift=some_preview().changes), 1),
        (full_preview(), 2),
        (
            replace(
                full_preview(),
                holds=(
                    Hold(service=name("cron"), code=HoldCode.PRUNE_HELD, because="all would go"),
                ),
            ),
            5,
        ),
        (
            Preview(
                mode="live",
                base=HERE,
                head=HERE,
                invalid=(
                    Diagnostic(source=Source(file="x"), code="W9", message="", is_warning=True),
                ),
            ),
            0,
        ),
    ],
    ids=["nothing", "changes", "drift", "an invalid file", "a guard", "a warning"],
)
def test_the_exit_code_of_a_diff(preview: Preview, code: int) -> None:
    assert diff_exit_code(preview) == code


@given(st.text())
def test_any_text_can_be_written_as_json(text: str) -> None:
    message = Problem(title=text, mend=text, log_tail=(text,), service=name(text))
    found = json.loads(line(message_keys(message, Page())))
    assert found["title"] == text.encode("utf-8", "replace").decode()


def test_health_is_only_said_where_it_is_known() -> None:
    states = (State.RUNNING, State.DEGRADED, State.CRASHED, State.STOPPED)
    web = service(
        "web",
        health=Health.DEGRADED,
        slots=[slot_status("web", n, state=state) for n, state in enumerate(states)],
    )
    found = json.loads(document(status_document(scene(web), [web])))["services"][0]["instances"]
    assert [i["healthStatus"] for i in found] == ["healthy", "degraded", "unhealthy", None]


def test_waits_are_said_with_their_condition_and_since_when() -> None:
    status = json.loads(document(DOCUMENTS["status"]))
    waits = {s["name"]: s["waitingFor"] for s in status["services"]}
    assert waits["importer"] == [
        {"name": "mailer", "condition": "ready", "since": timestamp(WALL - 9)}
    ]
    assert waits["db"] == []


def test_an_empty_graph_is_a_document_too() -> None:
    assert json.loads(document(catalogue.graph_document(Graph(needs={}))))["nodes"] == []


scalars = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


@given(st.dictionaries(st.text(min_size=1), values, min_size=1))
def test_yaml_says_the_same_as_json(value: dict[str, Any]) -> None:
    """A YAML 1.2 reader gets back what was written, whatever it looks like."""
    assert YAML(typ="safe", pure=True).load(yaml_text(value)) == value


def test_boot_times_become_wall_times() -> None:
    stage = scene()
    assert stage.wall_at(Nanos(NOW - 5_000_000_000)) == WALL - 5
