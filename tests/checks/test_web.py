"""Checks over HTTP and TCP, against servers of every kind."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters.checks import Names, Network
from reconciler.model.health import CheckFault, CheckResult, CheckType, HealthCheck, TcpCheck
from reconciler.model.observed import Slot
from reconciler.model.units import ServiceName, seconds
from tests.checks.checking import (
    Handler,
    answering,
    ask,
    asked,
    checks,
    hear,
    http,
    question,
    resident_bytes,
    serving,
)

pytestmark = pytest.mark.real

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready"


def of(handler: Handler, path: str = "/", **more: Any) -> CheckResult:
    with serving(handler) as port:
        return ask(http(f"http://127.0.0.1:{port}{path}", **more))


def refused(result: CheckResult) -> tuple[CheckFault | None, str]:
    assert not result.ok
    return result.fault, result.detail


def test_a_good_answer_passes_with_its_status_and_how_long_it_took() -> None:
    result = of(answering(OK))
    assert (result.ok, result.detail, result.fault) == (True, "status 200", None)
    assert result.facts == {"status": 200}
    assert 0 < result.took < seconds(5)
    assert (result.slot.index, result.run, result.tries) == (1, "r", 1)


def test_what_is_sent_is_what_the_manifest_says() -> None:
    heard: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        heard.append(hear(connection))
        connection.sendall(b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")

    headers = {"Host": "shop.example", "X-Token": "secret"}
    more = {"method": "POST", "headers": headers, "body": '{"deep": 1}'}
    assert of(handler, "/up/${instance}?deep=ja und nein", **more).ok
    head, _, body = heard[0].decode().partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0] == "POST /up/1?deep=ja%20und%20nein HTTP/1.1"
    assert {"Host: shop.example", "X-Token: secret", "Content-Length: 11"} < set(lines)
    assert body == '{"deep": 1}'


@pytest.mark.parametrize(
    ("status", "expected", "passes"),
    [
        ("204 No Content", (), True),
        ("404 Not Found", (), False),
        ("404 Not Found", ((200, 299), (404, 404)), True),
        ("200 OK", ((201, 201),), False),
        ("302 Found", ((300, 399),), True),
    ],
)
def test_the_status_is_one_of_those_expected(
    status: str, expected: tuple[tuple[int, int], ...], passes: bool
) -> None:
    text = f"HTTP/1.1 {status}\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".encode()
    result = of(answering(text), expected_status=expected)
    assert result.ok is passes
    assert result.facts == {"status": int(status[:3])}


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [("ready", True), ("steady", False), ("^r.*y$", True), (r"\d", False), ("(", False)],
)
def test_the_body_contains_the_pattern(pattern: str, passes: bool) -> None:
    result = of(answering(OK), expected_body=pattern)
    assert result.ok is passes
    if not passes:
        assert result.fault is CheckFault.BODY
        assert "`expectedBody`" in result.detail


def test_a_body_in_chunks_is_put_together_and_answers_before_the_answer_are_passed_over() -> None:
    chunks = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\n\r\n"
    )
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert of(answering(early + chunks), expected_body="ready").ok


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (OK, "status 200"),
        (b"HTTP/1.0 200 \r\ncontent-LENGTH:\t5 \r\n\r\nready", "status 200"),
        (b"HTTP/1.1 200\r\nX-Empty:\r\nContent-Length: 5\r\n\r\nready", "status 200"),
        (b"HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n", "is empty"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nready", "status 503, want 2xx"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nready", "status 200"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nready", "`expectedBody`"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nready", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nready", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX Y: 1\r\nContent-Length: 5\r\n\r\nready", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 5\r\n\r\nready", "not HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready\r\n0\r\n\r\n",
            "status 200",
        ),
    ],
)
def test_an_answer_means_the_same_in_one_piece_and_in_many(text: bytes, seen: str) -> None:
    def in_pieces(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hear(connection)
        for at in range(len(text)):
            connection.sendall(text[at : at + 1])

    at_once, slowly = (of(one, expected_body="ready") for one in (answering(text), in_pieces))
    assert seen in at_once.detail, at_once
    assert (at_once.ok, at_once.detail, at_once.fault) == (slowly.ok, slowly.detail, slowly.fault)


def test_h1_an_endpoint_that_never_answers_fails_within_its_timeout() -> None:
    def silent(connection: socket.socket) -> None:
        hear(connection)
        connection.recv(1)

    began = time.monotonic()
    assert refused(of(silent, timeout_s=0.3)) == (CheckFault.TIMEOUT, "no answer within 0.3 s")
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body"])
def test_h1_a_byte_now_and_then_does_not_move_the_deadline(begun: bytes) -> None:
    pause = threading.Event()

    def dripping(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(begun)
        for byte in b"HTTP/1.1 200 OK\r\n" * 10:
            connection.sendall(bytes([byte]))
            pause.wait(0.05)

    assert refused(of(dripping, timeout_s=0.4))[0] is CheckFault.TIMEOUT


def endless(start: bytes, piece: bytes) -> Handler:
    def handler(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return handler


@pytest.mark.parametrize(
    ("handler", "fault", "says"),
    [
        (
            endless(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * 65536),
            CheckFault.BODY,
            "longer than 64 KiB",
        ),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536), CheckFault.BODY, "longer than"),
        (endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 999), CheckFault.PROTOCOL, "16384 bytes"),
        (endless(b"", b"HTTP/1.1 100 Go on\r\n\r\n"), CheckFault.PROTOCOL, "interim answers"),
    ],
    ids=["10 GB", "a body without end", "a head without end", "a flood of 1xx"],
)
def test_h1_and_h3_an_answer_without_end_is_bounded(
    handler: Handler, fault: CheckFault, says: str
) -> None:
    before = resident_bytes()
    found, detail = refused(of(handler, timeout_s=5.0))
    assert found is fault
    assert says in detail
    assert resident_bytes() - before < 16 << 20


@pytest.mark.parametrize(
    ("text", "fault", "says"),
    [
        (b"SSH-2.0-OpenSSH\r\n", CheckFault.PROTOCOL, "the answer is not HTTP: b'SSH-2.0"),
        (b"<html>hello</html>", CheckFault.PROTOCOL, "the answer is not HTTP: b'<html>hello"),
        (b"HTTP/1.1 abc\r\n\r\n", CheckFault.PROTOCOL, "the answer is not HTTP"),
        (b"", CheckFault.CONNECTION, "it hung up without an answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            CheckFault.CONNECTION,
            "it hung up in the middle of its answer",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            CheckFault.PROTOCOL,
            "the answer is not HTTP",
        ),
    ],
    ids=["ssh", "http 0.9", "no status", "nothing", "half of it", "broken chunks"],
)
def test_h3_what_is_no_http_is_named(text: bytes, fault: CheckFault, says: str) -> None:
    found, detail = refused(of(answering(text)))
    assert (found, says in detail) == (fault, True), detail


def test_a_server_that_greets_first_and_waits_is_no_http_at_once() -> None:
    def greeting(connection: socket.socket) -> None:
        connection.sendall(b"220 mail ESMTP\r\n")
        hear(connection)
        connection.recv(1)

    result = of(greeting)
    assert refused(result) == (
        CheckFault.PROTOCOL,
        "the answer is not HTTP: b'220 mail ESMTP\\r\\n'",
    )
    assert result.took < seconds(2)


def test_a_connection_that_is_reset_says_so() -> None:
    def resetting(connection: socket.socket) -> None:
        hear(connection)
        linger = b"\x01\0\0\0\0\0\0\0"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()

    fault, detail = refused(of(resetting))
    assert fault is CheckFault.CONNECTION
    assert detail.startswith("the connection was reset by 127.0.0.1:")


def test_nobody_on_a_port_is_refused_and_so_is_a_closed_socket(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    result = ask(http(f"http://localhost:{port}/"))
    assert refused(result) == (CheckFault.REFUSED, f"connection refused by localhost:{port}")
    path = tmp_path / "web.sock"
    assert refused(ask(http(f"unix:{path}:/"))) == (
        CheckFault.REFUSED,
        f"no such file or directory by unix:{path}",
    )


def redirecting(to: str) -> Handler:
    head = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    return answering(head.encode())


@pytest.mark.parametrize("most", [0, 1, 3])
def test_h2_redirects_for_ever_end(most: int) -> None:
    fault, detail = refused(of(redirecting("/on"), max_redirects=most))
    assert fault is CheckFault.REDIRECT
    wanted = f"redirected more than {most} times" if most else "it leads to '/on'"
    assert wanted in detail


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "http://127.0.0.2/",
        "http://127.0.0.1:1/",
        "//localhost/",
        "http://[broken/",
    ],
)
def test_h2_a_redirect_never_leads_to_another_server(to: str) -> None:
    fault, detail = refused(of(redirecting(to), max_redirects=5))
    assert fault is CheckFault.REDIRECT
    assert detail.startswith("redirected to ")


@pytest.mark.parametrize(("status", "method"), [(302, "GET"), (307, "POST")])
def test_a_redirect_on_the_same_server_is_followed_to_the_address_asked_first(
    status: int, method: str
) -> None:
    asked_for: list[str] = []
    lines: list[bytes] = []
    redirect = f"HTTP/1.1 {status} On\r\nLocation: /well\r\nContent-Length: 0\r\n\r\n"

    def answer(host: str) -> tuple[str, ...]:
        asked_for.append(host)
        return ("127.0.0.1",)

    def handler(connection: socket.socket) -> None:
        lines.append(hear(connection).split(b" HTTP")[0])
        connection.sendall(OK if len(lines) == 2 else redirect.encode())

    with serving(handler) as port:
        url = f"http://shop.example:{port}/"
        check = http(url, method="POST", body="x", max_redirects=1)
        assert ask(check, network=lambda: Network(Names(answer))).ok
    assert asked_for == ["shop.example"]
    assert lines == [b"POST /", f"{method} /well".encode()]


def test_h4_a_pattern_that_backtracks_fails_and_keeps_no_other_waiting() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 41\r\n\r\n" + b"a" * 40 + b"!"
    bomb = "^(a+)+$"

    async def exchange(port: int) -> list[CheckResult]:
        these = checks()
        url = f"http://127.0.0.1:{port}/"
        found = [await asked(these, http(url, expected_body=bomb))]
        more = [asyncio.create_task(asked(these, http(url, expected_body=bomb))) for _ in range(9)]
        found.append(await asked(these, http(url, expected_body="a{40}!")))
        found.append(await more[0])
        assert not more[-1].done(), "those that take long go one after the other"
        for task in more:
            task.cancel()
        await these.close()
        return found

    with serving(answering(text)) as port:
        first, other, second = asyncio.run(exchange(port))
    too_long = "`expectedBody` took longer than 0.25 s; write it without a repetition in another"
    assert refused(first) == refused(second) == (CheckFault.BODY, too_long)
    assert other.ok
    assert other.took < seconds(1)


def test_h8_one_that_hangs_makes_no_other_late() -> None:
    def silent(connection: socket.socket) -> None:
        hear(connection)
        connection.recv(1)

    async def exchange(hanging: int, well: int) -> list[CheckResult]:
        these = checks()
        for index in range(200):
            slot = Slot(service=ServiceName("slow"), index=index)
            these.begin(
                question(http(f"http://127.0.0.1:{hanging}/"), slot),
                lambda _: pytest.fail("hung up"),
            )
        found = [await asked(these, http(f"http://127.0.0.1:{well}/")) for _ in range(5)]
        await these.close()
        return found

    with serving(silent) as hanging, serving(answering(OK)) as well:
        found = asyncio.run(exchange(hanging, well))
    assert all(one.ok and one.took < seconds(1) for one in found)


def test_a_unix_socket_is_asked_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    with serving(answering(OK), listener):
        assert ask(http(f"unix:{path}:/up", expected_body="ready")).ok


def test_h11_our_own_api_and_addresses_of_the_link_are_never_asked(tmp_path: Path) -> None:
    path = tmp_path / "weaver.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    with listener, socket.create_server(("127.0.0.1", 0)) as metrics:
        port = metrics.getsockname()[1]
        own = (f"unix:{path}", f"127.0.0.1:{port}")
        (tmp_path / "link.sock").symlink_to(path)
        for url in (f"unix:{tmp_path}/link.sock:/v1/status", f"http://localhost:{port}/metrics"):
            fault, detail = refused(ask(http(url), network=lambda: Network(Names(), lambda: own)))
            assert fault is CheckFault.FORBIDDEN
            assert "Weaver's own API" in detail
    fault, _ = refused(ask(http("http://169.254.169.254/latest/meta-data/")))
    assert fault is CheckFault.FORBIDDEN


def test_h10_a_name_is_asked_for_once_and_a_dead_name_server_keeps_nobody_waiting() -> None:
    asked_for: list[str] = []
    held = threading.Event()

    def answer(host: str) -> tuple[str, ...]:
        asked_for.append(host)
        if host == "dead":
            held.wait(10)
        return () if host == "nobody" else ("127.0.0.1",)

    async def exchange(port: int) -> list[CheckResult]:
        these = checks(network=Network(Names(answer)))
        waiting = [
            asyncio.create_task(asked(these, http(f"http://dead:{port}/", timeout_s=0.4)))
            for _ in range(3)
        ]
        found = await asked(these, http(f"http://alive:{port}/"))
        unknown = await asked(these, http(f"http://nobody:{port}/"))
        dead = await asyncio.gather(*waiting)
        held.set()
        await these.close()
        return [found, unknown, *dead]

    with serving(answering(OK)) as port:
        found, unknown, *dead = asyncio.run(exchange(port))
    assert found.ok
    assert refused(unknown) == (CheckFault.NAME, f"name not resolved by nobody:{port}")
    assert {refused(one)[0] for one in dead} == {CheckFault.TIMEOUT}
    assert sorted(asked_for) == ["alive", "dead", "nobody"]


def test_a_certificate_that_nobody_vouches_for_fails_unless_that_does_not_matter(
    tmp_path: Path,
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=localhost -keyout {key} -out {certificate}",
        shell=True,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def handler(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(4096)
            secure.sendall(OK)

    with serving(handler) as port:
        url = f"https://localhost:{port}/"
        trusting = ask(http(url, verify_tls=False, expected_body="ready"))
        fault, detail = refused(ask(http(url)))
    assert trusting.ok
    assert fault is CheckFault.TLS
    assert detail.startswith("its certificate is not trusted: ")


def test_a_port_that_speaks_no_tls_says_so() -> None:
    def handler(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(handler) as port:
        fault, detail = refused(ask(http(f"https://127.0.0.1:{port}/", verify_tls=False)))
    assert fault is CheckFault.TLS
    assert detail.startswith("TLS refused (")


def test_a_check_is_tried_again_as_often_as_it_says() -> None:
    asked_for: list[int] = []

    def handler(connection: socket.socket) -> None:
        hear(connection)
        asked_for.append(1)
        connection.sendall(OK if len(asked_for) == 3 else OK.replace(b"200 OK", b"503 Busy"))

    result = of(handler, retries=2)
    assert (result.ok, result.tries) == (True, 3)
    asked_for.extend([0, 0])
    failed = of(handler, retries=1)
    assert (failed.ok, failed.tries, failed.detail) == (False, 2, "status 503, want 2xx")


def test_a_check_that_was_given_up_says_nothing() -> None:
    async def exchange(port: int) -> None:
        these = checks()
        give_up = these.begin(
            question(http(f"http://127.0.0.1:{port}/")),
            lambda _: pytest.fail("it was given up"),
        )
        await asyncio.sleep(0)
        give_up()
        await asked(these, http(f"http://127.0.0.1:{port}/"))
        await these.close()

    with serving(answering(OK)) as port:
        asyncio.run(exchange(port))


def test_a_port_that_accepts_passes_and_another_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check = HealthCheck(type=CheckType.TCP, tcp=TcpCheck(port=port))
        result = ask(check)
    assert (result.ok, result.detail) == (True, f"127.0.0.1:{port} accepts connections")
    assert refused(ask(check)) == (
        CheckFault.REFUSED,
        f"connection refused by 127.0.0.1:{port}",
    )
