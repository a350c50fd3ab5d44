"""Bodies and queries: what is asked for, and what is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.wire import queries
from reconciler.api.wire import requests as bodies
from reconciler.model.units import ServiceName
from reconciler.runtime import requests
from reconciler.runtime.requests import Change

WEB, DB = ServiceName("web"), ServiceName("db")

CHANGES: dict[str, tuple[dict[str, Any], Change]] = {
    "apply": (
        {"kind": "apply", "documents": [{"text": "name: web", "path": "web.yaml"}]},
        requests.Apply(documents=(requests.Document(text="name: web", path="web.yaml"),)),
    ),
    "set": (
        {
            "kind": "set",
            "service": "web",
            "assignments": [{"path": "env.A", "value": "1"}, {"path": "env.B", "value": None}],
        },
        requests.SetValues(
            service=WEB,
            assignments=(
                requests.Assignment(path="env.A", value="1"),
                requests.Assignment(path="env.B", value=None),
            ),
        ),
    ),
    "scale": (
        {"kind": "scale", "instances": {"web": 4, "db": 1}},
        requests.Scale(counts=((WEB, 4), (DB, 1))),
    ),
    "register": (
        {"kind": "register", "service": "web", "text": "name: web"},
        requests.PutManifest(service=WEB, text="name: web", create=True),
    ),
    "edit": (
        {"kind": "edit", "service": "web", "text": "name: web"},
        requests.PutManifest(service=WEB, text="name: web", create=False),
    ),
    "unregister": (
        {"kind": "unregister", "services": ["web", "db", "web"], "cascade": True},
        requests.Unregister(services=(WEB, DB), cascade=True),
    ),
    "start": (
        {"kind": "start", "services": ["web"]},
        requests.StartServices(services=(WEB,)),
    ),
    "stop": (
        {"kind": "stop", "services": ["db"], "withDependents": True},
        requests.StopServices(services=(DB,), with_dependents=True),
    ),
    "undo": ({"kind": "undo"}, requests.UndoLast()),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_body_asks_for_a_change(kind: str) -> None:
    said, wanted = CHANGES[kind]
    body: bodies.ChangeBodies = bodies.decode(msgspec.json.encode(said), bodies.ChangeBodies)
    assert bodies.change(body) == wanted


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"kind": "restart", "services": ["web"]}, requests.RestartServices(services=(WEB,))),
        ({"kind": "start", "services": ["web"]}, requests.RetryServices(services=(WEB,))),
        ({"kind": "settle"}, requests.Settle()),
        (
            {"kind": "rollout", "service": "web", "steer": "undo"},
            requests.SteerRollout(service=WEB, steer=requests.Steer.UNDO),
        ),
    ],
    ids=["restart", "start what crashed", "settle", "take a rollout back"],
)
def test_a_body_asks_for_an_operation(
    said: dict[str, Any], wanted: requests.OperationRequest
) -> None:
    body: bodies.OperationBodies = bodies.decode(msgspec.json.encode(said), bodies.OperationBodies)
    assert bodies.operation(body) == wanted


@pytest.mark.parametrize("said", [{"service": "web", "steer": "stop"}, {"steer": "undo"}])
def test_a_rollout_is_steered_in_three_ways_and_by_name(said: dict[str, Any]) -> None:
    body = msgspec.json.encode({"kind": "rollout", **said})
    with pytest.raises(bodies.UnacceptableError, match="cannot accept the request: "):
        bodies.decode(body, bodies.OperationBodies)


def test_terms_are_the_clients_but_the_uid_is_the_kernels() -> None:
    said = {
        "kind": "undo",
        "author": {"name": "Ada", "email": "ada@example.org"},
        "reason": "too slow",
        "dryRun": True,
        "ifRevision": "9be0177",
        "wait": False,
        "timeout": 5,
    }
    body: bodies.ChangeBodies = bodies.decode(msgspec.json.encode(said), bodies.ChangeBodies)
    terms = bodies.terms(body, uid=1000)
    assert (terms.author.name, terms.author.email, terms.author.uid) == (
        "Ada",
        "ada@example.org",
        1000,
    )
    assert (terms.reason, terms.dry_run, terms.if_revision) == ("too slow", True, "9be0177")
    assert (terms.wait, terms.timeout) == (False, 5.0)


UNACCEPTABLE: dict[str, dict[str, Any]] = {
    "no kind": {"services": ["web"]},
    "an unknown kind": {"kind": "rm -rf"},
    "an unknown key": {"kind": "undo", "uid": 0},
    "a key of another language": {"kind": "undo", "__class__": "os.system"},
    "a key in snake_case": {"kind": "undo", "dry_run": True},
    "a number for a list": {"kind": "start", "services": 1},
    "a number for a name": {"kind": "start", "services": [1]},
    "no services": {"kind": "start", "services": []},
    "a name too long": {"kind": "start", "services": ["a" * 64]},
    "a text for a boolean": {"kind": "stop", "services": ["a"], "only": "yes"},
    "a negative timeout": {"kind": "undo", "timeout": -1},
    "a timeout of years": {"kind": "undo", "timeout": 1e9},
    "a reason of two lines": {"kind": "undo", "reason": "a\nWeaver-Actor: root"},
    "an author with a line break": {"kind": "undo", "author": {"name": "a\nb", "email": "c"}},
    "an author with brackets": {"kind": "undo", "author": {"name": "a", "email": "b>c"}},
    "a revision that is an option": {"kind": "undo", "ifRevision": "--upload-pack=x"},
    "an assignment without a path": {
        "kind": "set",
        "service": "web",
        "assignments": [{"path": "", "value": "1"}],
    },
    "a document with a surprise": {"kind": "apply", "documents": [{"text": "", "mode": 493}]},
}


@pytest.mark.parametrize("what", UNACCEPTABLE)
def test_what_may_not_be_said_is_refused_with_the_reason(what: str) -> None:
    with pytest.raises(bodies.UnacceptableError, match="cannot accept the request: "):
        bodies.decode(msgspec.json.encode(UNACCEPTABLE[what]), bodies.ChangeBodies)


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"kind": "\xff"}', b"NaN", b'{"kind": "undo"} x', b'{"kind": "\\ud800"}'],
    ids=["cut short", "no text", "no UTF-8", "NaN", "something behind it", "half a character"],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(bodies.MalformedError, match="as JSON"):
        bodies.decode(body, bodies.ChangeBodies)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_request_or_is_refused(value: Any) -> None:
    for said in (value, {"kind": value}, {"kind": "start", "services": value}):
        with contextlib.suppress(bodies.UnacceptableError, bodies.MalformedError):
            bodies.decode(msgspec.json.encode(said), bodies.ChangeBodies)


QUERIES = (
    queries.StatusQuery,
    queries.EventsQuery,
    queries.LogsQuery,
    queries.WaitQuery,
    queries.GraphQuery,
)


@pytest.mark.parametrize("kind", QUERIES)
@given(
    pairs=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "format",
                    "name",
                    "selector",
                    "check",
                    "width",
                    "color",
                    "n",
                    "since",
                    "for",
                    "timeout",
                    "after",
                    "x",
                ]
            ),
            st.text() | st.integers().map(str) | st.floats().map(str),
        )
    )
)
def test_any_query_is_read_or_is_refused(
    kind: type[queries.Query], pairs: list[tuple[str, str]]
) -> None:
    with contextlib.suppress(bodies.UnacceptableError):
        queries.read(pairs, kind)


def test_what_is_repeated_and_is_no_list_counts_as_said_last() -> None:
    found = queries.read([("format", "json"), ("format", "table")], queries.StatusQuery)
    assert found.format == "table"


def test_a_selector_without_a_value_is_refused() -> None:
    with pytest.raises(bodies.UnacceptableError, match="no label and value"):
        queries.labels(["tier"])
