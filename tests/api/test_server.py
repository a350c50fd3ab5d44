"""The API on a real unix socket, as the command line uses it."""

from __future__ import annotations

import http.client
import json
import os
import threading
from pathlib import Path

import pytest

from tests.api.builders import HERE
from tests.api.honest import event
from tests.api.serving import Served, UnixConnection, read, serving
from tests.waiting import until

pytestmark = pytest.mark.real


QUESTIONS = (
    "/v1/status",
    "/v1/services",
    "/v1/services/db",
    "/v1/plan",
    "/v1/events",
    "/v1/history/db",
    "/v1/why/importer",
    "/v1/wait?for=ready&name=db",
    "/v1/graph",
    "/v1/config",
    "/v1/doctor",
    "/v1/environment/db",
    "/v1/health",
    "/v1/health?name=db",
    "/v1/rollouts",
    "/v1/rollouts?name=db",
    "/v1/metrics",
    "/v1/metrics/db",
)


@pytest.mark.parametrize("target", QUESTIONS)
def test_every_question_has_a_document_for_an_answer(lasting: Served, target: str) -> None:
    reply = lasting.ask(target)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json()["formatVersion"] == "1.0"
    assert reply.json()["exitCode"] == reply.code


@pytest.mark.parametrize("target", [q for q in QUESTIONS if "environment" not in q])
def test_every_question_has_a_text_for_an_answer(lasting: Served, target: str) -> None:
    tables = ("/v1/status", "/v1/services", "/v1/metrics", "/v1/health")
    is_table = target.startswith(tables) and target != "/v1/services/db"
    form = "table" if is_table else "text"
    reply = lasting.ask(f"{target}{'&' if '?' in target else '?'}format={form}&width=70&color=0")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert reply.text.endswith("\n")


def test_a_finished_answer_says_how_long_it_is(lasting: Served) -> None:
    """The fast path of the command line relies on it to know that nothing is missing."""
    reply = lasting.ask("/v1/status?format=table")
    assert int(reply.headers["content-length"]) == len(reply.body)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v1/status?format=name&selector=tier%3Dweb", "api\n"),
        ("/v1/status?format=pid&name=worker&name=db", "4711\n4711\n4712\n"),
        ("/v1/services?format=name", "prepare\ndb\napi\nworker\nmailer\nimporter\n"),
        ("/v1/status?format=name&problems=1", "mailer\nimporter\n"),
        ("/v1/graph?order=start", "1. mailer, prepare\n2. db, importer\n3. api\n4. worker\n"),
        ("/v1/services/db?format=text", "name: db\ncommand: python3 db.py\n"),
        (
            "/v1/metrics/db?format=prometheus",
            '# TYPE service_up gauge\nservice_up{service="db"} 1\n',
        ),
    ],
)
def test_scripts_get_one_thing_a_line(lasting: Served, target: str, body: str) -> None:
    assert lasting.ask(target).text == body


def test_one_name_and_a_table_give_the_page_of_that_service(lasting: Served) -> None:
    text = lasting.ask("/v1/status?format=table&name=worker").text
    assert "3f2c91a by Ada Lovelace 2 h ago: worker: set env.PORT=8001" in text
    assert "job 5 done" in text


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/v1/status", 0),
        ("/v1/status?check=1", 7),
        ("/v1/status?check=1&name=db", 0),
        ("/v1/status?check=1&name=mailer", 7),
        ("/v1/health?check=1", 0),
        ("/v1/plan", 1),
        ("/v1/wait?for=ready&name=mailer&timeout=0", 9),
        ("/v1/wait?for=stopped&name=prepare", 0),
    ],
)
def test_an_answer_carries_the_exit_code_of_the_command_line(
    lasting: Served, target: str, code: int
) -> None:
    assert lasting.ask(target).code == code


def test_what_is_wrong_with_weaver_itself_fails_the_check(served: Served) -> None:
    assert served.ask("/v1/status?check=1&selector=tier%3Dweb").code == 0
    served.run(lambda: served.control.say("cannot save the record: disk full"))
    assert served.ask("/v1/status?check=1").code == 7
    assert "! cannot save the record: disk full" in served.ask("/v1/status?format=table").text


@pytest.mark.parametrize(
    ("target", "status", "code", "detail", "mend"),
    [
        ("/v1/status?name=dbb", 404, 6, "no service is named dbb", "did you mean db?"),
        ("/v1/why/nobody", 404, 6, "no service is named nobody", "weaver status"),
        ("/v1/logs?name=nobody", 404, 6, "no service is named nobody", "weaver status"),
        ("/v1/nowhere", 404, 6, "cannot do that: not found", "openapi.json"),
        ("/v1/status?formt=json", 422, 2, "unknown field `formt`", "known parameters: check"),
        ("/v1/wait", 422, 2, "missing required field `for`", "known parameters: color"),
        ("/v1/logs?field=x", 422, 2, "cannot look for the field 'x'", "write key=value"),
    ],
)
def test_a_refusal_is_a_problem_document_with_the_mend(
    lasting: Served, target: str, status: int, code: int, detail: str, mend: str
) -> None:
    reply = lasting.ask(target)
    problem = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status, reply.code) == (problem["status"], problem["exitCode"]) == (status, code)
    assert detail in problem["detail"]
    assert mend in problem["mend"]
    assert problem["requestId"] == reply.headers["weaver-request-id"]


def test_a_wrong_method_is_told_which_is_right(lasting: Served) -> None:
    reply = lasting.tell("/v1/status", {})
    assert (reply.status, reply.code) == (405, 2)
    assert "GET" in reply.headers["allow"]


def test_head_gives_the_head_alone(lasting: Served) -> None:
    for target in ("/v1/status", "/v1/logs?follow=1"):
        reply = lasting.ask(target, method="HEAD")
        assert (reply.status, reply.body) == (200, b"")


def test_a_bug_is_an_answer_too_and_the_daemon_goes_on(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    served.control.breaks = True
    reply = served.ask("/v1/status")
    assert (reply.status, reply.code) == (500, 255)
    assert reply.json()["requestId"] in caplog.text
    served.control.breaks = False
    assert served.ask("/v1/status").status == 200


# --- long verbs ------------------------------------------------------------------------------


def test_a_change_is_told_line_by_line_and_ends_with_the_summary(lasting: Served) -> None:
    body = {"kind": "set", "service": "web", "assignments": [{"path": "env.A", "value": "1"}]}
    reply = lasting.tell("/v1/changes", body)
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert "weaver-exit-code" not in reply.headers
    lines = reply.lines()
    kinds = ["planned", "commit", "action", "action", "note", "converged", "summary"]
    assert [line["type"] for line in lines] == kinds
    assert lines[1]["sha"] == HERE.commit
    assert lines[-1]["exitCode"] == 0
    assert lines[-1]["undo"] == "weaver undo"


def test_a_dry_run_ends_with_the_plan_in_the_width_asked_for(lasting: Served) -> None:
    body = {"kind": "undo", "dryRun": True}
    planned, summary = lasting.tell("/v1/changes?width=30", body).lines()
    assert planned["diff"]["summary"]["restart"] == 1
    assert "1. ~ restart  web" in planned["text"]
    assert summary["exitCode"] == 1


def test_the_uid_of_a_request_is_the_kernels_word(lasting: Served) -> None:
    author = {"name": "Ada", "email": "ada@example.org"}
    lasting.tell("/v1/changes", {"kind": "undo", "author": author})
    _, terms = lasting.control.told[-1]
    assert (terms.author.name, terms.author.uid) == ("Ada", os.geteuid())


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/v1/operations", {"kind": "restart", "services": ["web"]}),
        ("/v1/prune/5f3a/approve", {}),
        ("/v1/shutdown", {"keepServices": True}),
        ("/v1/shutdown", None),
    ],
    ids=["restart", "approve", "shutdown", "shutdown without a body"],
)
def test_an_operation_ends_with_the_summary(lasting: Served, target: str, body: object) -> None:
    assert lasting.tell(target, body).lines()[-1]["type"] == "summary"


def test_a_refused_verb_says_why_and_what_to_do(lasting: Served) -> None:
    lines = lasting.tell("/v1/changes", {"kind": "stop", "services": ["db"]}).lines()
    assert lines[1]["title"] == "cannot stop db: api needs it"
    assert (lines[-1]["type"], lines[-1]["exitCode"]) == ("summary", 5)


def test_a_verb_that_breaks_still_ends_with_a_summary(served: Served) -> None:
    served.control.breaks = True
    lines = served.tell("/v1/operations", {"kind": "settle"}).lines()
    assert [line["type"] for line in lines[-2:]] == ["problem", "summary"]
    assert lines[-1]["exitCode"] == 255


def test_a_verb_goes_on_though_its_client_left(served: Served) -> None:
    served.control.is_slow = True
    connection = UnixConnection(served.path)
    connection.request("POST", "/v1/operations", json.dumps({"kind": "settle"}))
    assert json.loads(connection.getresponse().readline())["phase"] == "start"
    connection.close()
    served.run(served.control.gate.set)
    until(lambda: served.control.finished == ["web"])


# --- streams ---------------------------------------------------------------------------------


def _follow(served: Served, target: str) -> tuple[UnixConnection, http.client.HTTPResponse]:
    connection = UnixConnection(served.path)
    connection.request("GET", target)
    return connection, connection.getresponse()


def _events(found: http.client.HTTPResponse, count: int) -> list[int]:
    seen: list[int] = []
    while len(seen) < count:
        line = found.readline()
        if line.startswith(b"data: "):
            seen.append(json.loads(line[6:])["seq"])
    return seen


def test_events_are_followed_from_the_stored_ones_on(served: Served) -> None:
    connection, found = _follow(served, "/v1/events?follow=1&limit=2")
    assert found.headers.get_content_type() == "text/event-stream"
    assert _events(found, 2) == [6, 7]
    served.run(lambda: served.control.fresh.put_nowait(event(8, "service.ready", "web")))
    assert _events(found, 1) == [8]
    connection.close()


def test_a_stream_of_events_is_taken_up_where_it_broke(lasting: Served) -> None:
    connection = UnixConnection(lasting.path)
    connection.request("GET", "/v1/events?follow=1", headers={"Last-Event-ID": "5"})
    assert _events(connection.getresponse(), 2) == [6, 7]
    connection.close()


def test_events_are_followed_as_text(lasting: Served) -> None:
    connection, found = _follow(lasting, "/v1/events?follow=1&limit=1&format=text")
    assert found.readline() == b"22:13:27  db           stopped     asked (by uid:1000)\n"
    connection.close()


def test_only_events_of_the_last_seconds(lasting: Served) -> None:
    found = lasting.ask("/v1/events?since=2&service=db").json()["events"]
    assert [e["seq"] for e in found] == [7]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("format=text&n=1", "worker-1     | job 5 done"),
        ("format=text&n=1&name=worker", "worker-1     | job 5 done"),
        ("format=text&n=1&name=worker&instance=1", "job 5 done"),
        ("format=csv&n=1", "timestamp,service,instance,pid,stream,level,message"),
    ],
)
def test_logs_are_streamed_as_text(lasting: Served, query: str, first: str) -> None:
    assert lasting.ask(f"/v1/logs?{query}").text.splitlines()[0] == first


def test_logs_are_streamed_as_json(lasting: Served) -> None:
    lines = lasting.ask("/v1/logs?format=json&n=2").lines()
    assert [line["message"] for line in lines] == ["job 4 done", "job 5 done"]


def test_all_lines_of_logs_are_had_whatever_their_number(lasting: Served) -> None:
    some = lasting.ask("/v1/logs?format=json&n=2").lines()
    every = lasting.ask("/v1/logs?format=json&n=2&all=1").lines()
    assert len(every) > len(some)
    assert every[-2:] == some


def test_the_head_of_a_quiet_stream_comes_soon(lasting: Served) -> None:
    connection, found = _follow(lasting, "/v1/logs?follow=1&n=0&format=text")
    assert found.status == 200
    connection.close()


def test_a_stream_is_let_go_when_its_client_leaves(served: Served) -> None:
    connection, _ = _follow(served, "/v1/events?follow=1")
    until(lambda: served.run(lambda: served.streams.count) == 1)
    connection.close()
    until(lambda: served.run(lambda: served.streams.count) == 0)


def test_the_server_stops_though_somebody_listens_and_waits(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        connection, found = _follow(served, "/v1/events?follow=1&limit=1")
        assert _events(found, 1) == [7]
    assert found.read().strip() == b": the daemon ends\nretry: 500"
    connection.close()


# --- TCP -------------------------------------------------------------------------------------


def test_on_tcp_there_are_the_metrics_and_nothing_else(tmp_path: Path) -> None:
    with serving(tmp_path, on_tcp=True) as served:
        host, _, port = served.path.partition(":")
        found = {}
        for target in ("/metrics", "/v1/status", "/v1/shutdown"):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            connection.request("GET", target)
            found[target] = read(connection.getresponse())
            connection.close()
    assert found["/metrics"].text.startswith("# TYPE service_up gauge")
    assert [found[t].status for t in ("/v1/status", "/v1/shutdown")] == [404, 404]


def test_many_ask_at_once(lasting: Served) -> None:
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(lasting.ask("/v1/status").status))
        for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert codes == [200] * 32


def test_nothing_wakes_the_server_while_nobody_asks(served: Served) -> None:
    """Its loop has no timer that ticks; an idle daemon costs nothing."""
    served.ask("/v1/status")
    timers = getattr(served.loop, "_scheduled")  # noqa: B009 - a loop's timers have no public name
    until(lambda: served.run(lambda: [t for t in timers if not t.cancelled()]) == [])
