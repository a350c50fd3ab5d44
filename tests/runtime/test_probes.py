"""Probes against real sockets and real commands."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from reconciler.adapters.checks import Intruder, Place, Probes
from reconciler.core.launch import Account, Identity
from reconciler.model.event import Probe, ProbeAnswered
from reconciler.model.observed import Slot
from reconciler.model.spec import (
    CommandTarget,
    HttpTarget,
    Readiness,
    ReadyType,
    ServiceSpec,
    TcpTarget,
)
from reconciler.model.units import Digest, RunId, Serial, ServiceName, seconds
from reconciler.ports import HostError
from tests.waiting import until

pytestmark = pytest.mark.real

SLOT = Slot(service=ServiceName("web"), index=1)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


LONG_HEAD = "an answer's head of more than 16384 bytes"


def place(cwd: Path = Path("/")) -> Place:
    env = {"PATH": os.defpath, "COLOR": "blue"}
    return Place(cwd=str(cwd), env=env, expand=lambda text: text.replace("${instance}", "1"))


def question(readiness: Readiness, limit_s: float = 5.0) -> Probe:
    return Probe(
        serial=Serial(7),
        slot=SLOT,
        run=RunId("r"),
        spec=ServiceSpec(name=SLOT.service, digest=Digest("d")),
        readiness=readiness,
        timeout=seconds(limit_s),
    )


async def nobody(_: Slot, __: RunId, ___: int) -> str:
    return ""


async def ask(
    readiness: Readiness,
    *,
    limit_s: float = 5.0,
    cwd: Path = Path("/"),
    intruder: Intruder | None = None,
) -> ProbeAnswered:
    prober = Probes(lambda *_: place(cwd), intruder or nobody)
    answer = await prober.probe(question(readiness, limit_s))
    assert (answer.serial, answer.slot, answer.run) == (7, SLOT, "r")
    return answer


def tcp(port: int, host: str = "127.0.0.1") -> Readiness:
    return Readiness(type=ReadyType.TCP, tcp=TcpTarget(host=host, port=port))


def http(url: str, *expected: int) -> Readiness:
    return Readiness(type=ReadyType.HTTP, http=HttpTarget(url=url, expected_status=expected))


def command(*cmd: str) -> Readiness:
    return Readiness(type=ReadyType.COMMAND, command=CommandTarget(cmd=cmd))


def python(code: str) -> Readiness:
    return command(sys.executable, "-c", code)


def ask_server(
    handler: Handler,
    *expected: int,
    path: str = "/",
    limit_s: float = 5.0,
    intruder: Intruder | None = None,
) -> ProbeAnswered:
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def exchange() -> ProbeAnswered:
        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"http://127.0.0.1:{port}{path}"
            answer = await ask(http(url, *expected), limit_s=limit_s, intruder=intruder)
            await asyncio.gather(*handlers)
        return answer

    return asyncio.run(exchange())


def answering(text: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()

    return handler


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_that_accepts_is_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = asyncio.run(ask(tcp(port)))
    assert answer.passed
    assert answer.detail == f"127.0.0.1:{port} accepts connections"


def test_a_connection_that_somebody_else_took_does_not_count() -> None:
    asked: list[tuple[Slot, RunId, int]] = []

    async def intruder(slot: Slot, run: RunId, port: int) -> str:
        asked.append((slot, run, port))
        return "held by another"

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = asyncio.run(ask(tcp(port), intruder=intruder))
    assert (answer.passed, answer.detail) == (False, "held by another")
    assert asked == [(SLOT, "r", port)]


def test_an_answer_that_somebody_else_gave_does_not_count() -> None:
    async def intruder(_: Slot, __: RunId, ___: int) -> str:
        return "held by another"

    answer = ask_server(answering(b"HTTP/1.1 200 OK\r\n\r\n"), intruder=intruder)
    assert (answer.passed, answer.detail) == (False, "held by another")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_nobody_listens_on_is_named(host: str) -> None:
    port = free_port()
    answer = asyncio.run(ask(tcp(port, host)))
    assert not answer.passed
    assert answer.detail == f"connection refused by {host}:{port}"


def test_a_name_that_cannot_be_resolved_is_named() -> None:
    answer = asyncio.run(ask(tcp(80, "no-such-host.invalid")))
    assert not answer.passed
    assert answer.detail == "name not resolved by no-such-host.invalid:80"


@pytest.mark.parametrize(
    ("head", "expected", "passed", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nhello", (), True, "status 200"),
        (b"HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", (), True, "status 302"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", (), False, "status 503, want 2xx or 3xx"),
        (b"HTTP/1.1 401 No\r\n\r\n", (200, 401), True, "status 401"),
        (b"HTTP/1.1 200 OK\r\n\r\n", (204,), False, "status 200, want 204"),
        (b"HTTP/1.1 200", (), False, "it hung up without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", (), False, "the answer is not HTTP: b'SSH-2.0-OpenSSH\\r\\n'"),
        (b"", (), False, "it hung up without an answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000, (), False, LONG_HEAD),
    ],
)
def test_the_status_decides(
    head: bytes, expected: tuple[int, ...], passed: bool, detail: str
) -> None:
    answer = ask_server(answering(head), *expected)
    assert (answer.passed, answer.detail) == (passed, detail)


def test_a_unix_socket_is_asked_by_its_path(tmp_path: Path) -> None:
    async def exchange() -> ProbeAnswered:
        path = tmp_path / "web.sock"

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answering(b"HTTP/1.1 204 Well\r\n\r\n")(reader, writer)
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_unix_server(handle, path):
            return await ask(http(f"unix:{path}:/up"))

    answer = asyncio.run(exchange())
    assert (answer.passed, answer.detail) == (True, "status 204")


def test_the_path_the_query_and_the_instance_are_asked_for() -> None:
    asked: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    assert ask_server(handler, path="/up/${instance}?deep=ja und nein").passed
    head = asked[0].decode()
    assert head.startswith("GET /up/1?deep=ja%20und%20nein HTTP/1.1\r\nHost: 127.0.0.1:")
    assert "Connection: close" in head


def test_a_server_that_never_answers_costs_no_more_than_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    answer = ask_server(silent, limit_s=0.2)
    assert not answer.passed
    assert answer.detail == "no answer within 0.2 s"


def test_an_endless_body_does_not_undo_a_good_status() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        await reader.read()

    assert ask_server(stream).passed


@pytest.mark.parametrize("url", ["ftp://h/", "http:///x", "http://h:port/"])
def test_what_is_no_url_is_said(url: str) -> None:
    answer = asyncio.run(ask(http(url)))
    assert not answer.passed
    assert answer.detail


def test_a_command_that_exits_with_0_is_ready() -> None:
    answer = asyncio.run(ask(python("print('fine')")))
    assert (answer.passed, answer.detail) == (True, "fine")


def test_a_command_runs_in_the_directory_and_environment_of_its_service(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ['COLOR'], 'HOME' in os.environ)"
    answer = asyncio.run(ask(python(code), cwd=tmp_path))
    assert answer.detail == f"{tmp_path} blue False"


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("raise SystemExit(3)", "exited with 3"),
        ("import sys; sys.exit('no database')", "exited with 1: no database"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_a_command_that_fails_is_quoted(code: str, end: str) -> None:
    answer = asyncio.run(ask(python(code)))
    assert not answer.passed
    assert answer.detail.endswith(end)


def test_a_command_that_cannot_be_run_says_why() -> None:
    answer = asyncio.run(ask(command("no-such-command")))
    assert not answer.passed
    assert answer.detail == "cannot run 'no-such-command': no such file or directory"


def test_output_without_end_is_not_kept() -> None:
    answer = asyncio.run(ask(python("print('x' * 1_000_000)")))
    assert answer.passed
    assert len(answer.detail) <= 200


def test_what_a_command_left_behind_does_not_hold_the_answer_and_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import subprocess, sys, pathlib;"
        "left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"pathlib.Path({str(note)!r}).write_text(str(left.pid))"
    )
    answer = asyncio.run(ask(python(code)))
    assert answer.passed
    until(lambda: not is_running(int(note.read_text())))


def test_a_command_past_its_time_is_killed_with_its_group(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import os, time, signal, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(600)"
    )

    async def ask_and_see_it_reaped() -> ProbeAnswered:
        answer = await ask(python(code), limit_s=1.0)
        reaped = await asyncio.to_thread(
            until, lambda: not Path("/proc", note.read_text()).exists()
        )
        assert reaped
        return answer

    answer = asyncio.run(ask_and_see_it_reaped())
    assert (answer.passed, answer.detail) == (False, "no answer within 1 s")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_command_runs_as_the_user_of_its_service() -> None:
    account = Account(uid=65534, gid=65534, groups=(65534, 4))
    here = replace(place(), identity=Identity(account=account, umask=0o077))
    asked = command("sh", "-c", "echo $(id -u) $(id -G) $(umask)")
    answer = asyncio.run(Probes(lambda *_: here, nobody).probe(question(asked)))
    assert (answer.passed, answer.detail) == (True, "65534 65534 4 0077")


def test_a_user_that_is_not_known_is_an_answer_and_no_exception() -> None:
    def locate(*_: object) -> Place:
        raise HostError("cannot run web as ghost: this host knows no such user")

    answer = asyncio.run(Probes(locate, nobody).probe(question(command("true"))))
    assert not answer.passed
    assert "no such user" in answer.detail
