"""Bad and hostile requests, by their names in the fault catalogue: an answer, soon, and no harm."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.api import peer
from reconciler.api.streams import MOST_STREAMS
from tests.api.builders import scene, service
from tests.api.serving import Served, serving
from tests.waiting import until

pytestmark = pytest.mark.real

NOBODY = 65534


def _answer(connection: socket.socket) -> bytes:
    """Read until the server closes; a reset is how it closes on somebody who still talks."""
    chunks = []
    try:
        while chunk := connection.recv(1 << 16):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- W3: large, endless, deep, wrong ---------------------------------------------------------


def test_w3_a_body_of_50_mb_is_refused_before_it_comes(served: Served) -> None:
    connection = served.open()
    connection.sendall(b"POST /v1/changes HTTP/1.1\r\nHost: w\r\nContent-Length: 52428800\r\n\r\n")
    # Nothing of the body was sent: who waits for it never answers.
    assert _status(connection.recv(1 << 16)) == 413
    connection.close()


def test_w3_a_body_just_too_large_gets_an_answer_that_can_be_read(served: Served) -> None:
    body = json.dumps({"kind": "undo", "reason": "x" * (3 << 20)}).encode()
    reply = served.ask("/v1/changes", method="POST", body=body)
    assert (reply.status, reply.code) == (413, 2)
    assert reply.json()["mend"] == "send fewer manifests at once"


def test_w3_endless_chunks_are_cut_off_and_memory_stays_flat(served: Served) -> None:
    connection = served.open()
    head = b"POST /v1/changes HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head)
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sent = 0
    try:
        while sent < 200 << 20:
            connection.sendall(chunk)
            sent += len(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert sent < 100 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10
    connection.close()
    assert served.ask("/v1/status").status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 1_000_000, 422),
        (b'{"kind":' * 200_000, 400),
        (b'{"kind": "undo", "timeout": NaN}', 400),
        (b'{"kind": "undo", "timeout": 1e999}', 422),
        (b'{"kind": 7}', 422),
        (b"\x00\x01\x02", 400),
        (b"", 422),
    ],
    ids=["a million lists", "deep objects", "NaN", "infinity", "wrong type", "bytes", "nothing"],
)
def test_w3_what_is_no_request_is_refused(lasting: Served, body: bytes, status: int) -> None:
    reply = lasting.ask("/v1/changes", method="POST", body=body)
    assert (reply.status, reply.code) == (status, 2)


# --- W10: who asks ---------------------------------------------------------------------------

ASK_AS = """
import os, socket, sys
uid = int(sys.argv[2])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"GET %s HTTP/1.1\\r\\nHost: w\\r\\nConnection: close\\r\\n\\r\\n" % sys.argv[3].encode())
answer = b""
while chunk := s.recv(65536):
    answer += chunk
sys.stdout.buffer.write(answer)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
@pytest.mark.parametrize("target", ["/v1/status", "/metrics", "/v1/nowhere", "/v1/logs?follow=1"])
def test_w10_a_peer_of_another_uid_is_refused_whatever_it_asks(target: str) -> None:
    """The socket's mode would keep it out already; here the kernel's word alone must do."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as served:
        Path(folder).chmod(0o755)
        Path(served.path).chmod(0o666)
        said = subprocess.run(
            [sys.executable, "-I", "-c", ASK_AS, served.path, str(NOBODY), target],
            capture_output=True,
            timeout=20,
            check=True,
        ).stdout
    assert _status(said) == 403
    assert b"weaver-exit-code: 3" in said.lower()


def test_w10_only_the_uids_that_are_named_may_ask(tmp_path: Path) -> None:
    with serving(tmp_path, uids={NOBODY}) as served:
        reply = served.ask("/v1/status")
        assert (reply.status, reply.code) == (403, 3)
        assert served.tell("/v1/shutdown", {}).status == 403
        assert served.control.told == []


def test_w10_what_a_client_says_of_itself_counts_for_nothing(tmp_path: Path) -> None:
    headers = {"X-Forwarded-For": "uid=0", "Client": "uid=0,gid=0,pid=1", "Forwarded": "for=root"}
    with serving(tmp_path, uids={NOBODY}) as served:
        assert served.ask("/v1/status", headers=headers).status == 403


# --- W11: slow, idle, contradictory ----------------------------------------------------------


def test_w11_a_head_that_never_ends_is_dropped(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "HEAD_WITHIN_S", 0.2)
    for said in (b"", b"GET /v1/status HTTP/1.1\r\nHost:"):
        connection = served.open()
        connection.sendall(said)
        assert _answer(connection) == b""
        connection.close()


def test_w11_a_head_of_its_own_size_is_refused(lasting: Served) -> None:
    head = b"GET /v1/status HTTP/1.1\r\nHost: w\r\nX: "
    with lasting.open() as connection:
        connection.sendall(head + b"x" * 40_000 + b"\r\n\r\n")
        assert _status(_answer(connection)) == 431
    with lasting.open() as connection:
        connection.sendall(head)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(1000):
                connection.sendall(b"x" * 10_000)
        assert _answer(connection)[9:12] in {b"", b"400"}


def test_w11_two_lengths_at_once_are_refused(lasting: Served) -> None:
    connection = lasting.open()
    connection.sendall(
        b"POST /v1/changes HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n{}"
    )
    assert _status(_answer(connection)) == 400
    connection.close()


def test_w11_others_are_served_beside_many_idle_connections(lasting: Served) -> None:
    idle = [lasting.open() for _ in range(200)]
    assert lasting.ask("/v1/status").status == 200
    for connection in idle:
        connection.close()


# --- W12: streams that nobody reads ----------------------------------------------------------


def test_w12_streams_that_nobody_reads_are_capped(served: Served) -> None:
    readers = [served.open() for _ in range(MOST_STREAMS)]
    for connection in readers:
        connection.sendall(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: w\r\n\r\n")
    until(lambda: served.run(lambda: served.streams.count) == MOST_STREAMS)
    reply = served.ask("/v1/events?follow=1")
    assert (reply.status, reply.code) == (503, 4)
    assert served.ask("/v1/status").status == 200
    for connection in readers:
        connection.close()
    until(lambda: served.run(lambda: served.streams.count) == 0)


# --- W13: paths ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/v1/why/..%2f..%2fetc%2fpasswd",
        "/v1/why/%00",
        "/v1/why/..",
        "/v1//status",
        "/v1/status/",
        "/v1/why/a%5cb",
        "/v1/environment/%f0%9f%98%80",
        "/v1/history/" + "a" * 4000,
        "//v1/status",
    ],
)
def test_w13_paths_that_lead_astray_lead_nowhere(lasting: Served, target: str) -> None:
    reply = lasting.ask(target)
    assert (reply.status, reply.code) == (404, 6)


# --- W20, W22: hostile values ----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "undo", "uid": 0},
        {"kind": "undo", "__class__": {"__init__": "x"}},
        {"kind": "undo", "author": {"name": "a", "email": "b", "uid": 0}},
        {"kind": "start", "services": {"0": "web"}},
        {"kind": ["start"]},
        {"kind": "set", "service": "web", "assignments": [{"path": "a"}]},
    ],
    ids=["mass assignment", "a class", "nested", "an object for a list", "a list", "half"],
)
def test_w20_strict_models_refuse_what_they_do_not_know(
    lasting: Served, body: dict[str, Any]
) -> None:
    before = len(lasting.control.told)
    assert lasting.tell("/v1/changes", body).status == 422
    assert len(lasting.control.told) == before


hostile = st.text(st.characters(codec="utf-8"), max_size=80) | st.sampled_from(
    [
        "../../etc/passwd",
        "$(id)",
        "'; drop table x",
        "\x00",
        "\x1b]0;x\x07",
        "<script>",
        "\U0001d54f" * 40,
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=hostile)
def test_w22_hostile_strings_in_every_string_field_break_nothing(
    lasting: Served, text: str
) -> None:
    bodies: list[dict[str, Any]] = [
        {"kind": text},
        {"kind": "undo", "reason": text},
        {"kind": "undo", "ifRevision": text},
        {"kind": "undo", "author": {"name": text, "email": text}},
        {"kind": "start", "services": [text]},
        {"kind": "edit", "service": text, "text": text},
        {"kind": "apply", "documents": [{"text": text, "path": text}]},
        {"kind": "set", "service": text, "assignments": [{"path": text, "value": text}]},
    ]
    for body in bodies:
        assert lasting.tell("/v1/changes", body).status in {200, 422}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=hostile)
def test_w22_hostile_strings_in_every_parameter_break_nothing(lasting: Served, text: str) -> None:
    said = quote(text, safe="")
    targets = [
        f"/v1/status?name={said}",
        f"/v1/status?selector={said}",
        f"/v1/status?{said}={said}",
        f"/v1/logs?grep={said}&n=1",
        f"/v1/logs?field={said}",
        f"/v1/events?service={said}&since={said}",
        f"/v1/wait?for={said}",
        f"/v1/graph?name={said}",
        f"/v1/why/{said}",
        f"/{said}",
    ]
    for target in targets:
        assert lasting.ask(target).status in {200, 404, 422}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(raw=st.binary(max_size=300))
def test_w22_bytes_that_are_no_http_end_the_connection_and_nothing_else(
    lasting: Served, raw: bytes
) -> None:
    connection = lasting.open()
    connection.sendall(raw + b"\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    answer = _answer(connection)
    connection.close()
    assert answer == b"" or _status(answer) < 500
    assert lasting.ask("/v1/status?format=name").status == 200


# --- W21: names that are hard to show --------------------------------------------------------


def test_w21_whatever_services_are_called_every_answer_can_be_read(served: Served) -> None:
    odd = [service(text, reason=text) for text in ('a"b', "c\nd", "\x1b[2J", "<script>", "é\ud800")]
    served.control.stage = scene(*odd)
    for form in ("table", "wide", "yaml", "name"):
        served.ask(f"/v1/status?format={form}").body.decode("utf-8")
    found = served.ask("/v1/status").json()["services"]
    assert [s["name"] for s in found] == ['a"b', "c\nd", "\x1b[2J", "<script>", "é?"]
    for form in ("text", "mermaid", "dot"):
        text = served.ask(f"/v1/graph?format={form}").text
        assert text.replace("\n", "").isprintable()
