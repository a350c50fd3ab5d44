"""Checks of servers of the Model Context Protocol: real ones, and ones that go wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.health import CheckFault, CheckResult, CheckType, HealthCheck, McpCheck
from reconciler.model.units import seconds
from tests.checks.checking import ask, asked, checks, hear, serving
from tests.waiting import until

pytestmark = pytest.mark.real

INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "serverInfo": {"name": "shop", "version": "1"},
}
SERVER = """
import socket, sys, uvicorn
from mcp.server import MCPServer

server, kind = MCPServer("shop", version="1.2"), sys.argv[1]
if kind == "stdio":
    server.run("stdio")
else:
    app = server.streamable_http_app(json_response=kind == "json")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app)).run([listener])
"""
"""A real server, made with the SDK of the protocol."""
SHOP = {"server": "shop", "serverVersion": "1.2", "protocolVersion": "2025-06-18"}


def check(timeout_s: float = 15.0, **target: Any) -> HealthCheck:
    return HealthCheck(type=CheckType.MCP, mcp=McpCheck(**target), timeout=seconds(timeout_s))


def test_a_real_server_on_stdio_answers_and_is_ended() -> None:
    words = (sys.executable, "-c", SERVER)
    result = ask(check(cmd=words, args=("stdio",)))
    assert (result.ok, result.detail) == (True, "shop 1.2 answers a ping"), result
    assert result.facts == SHOP
    assert running(f"{SERVER}\0stdio") == []


def test_a_real_server_over_http_answers_in_events_or_json_and_gets_its_session_back() -> None:
    async def exchange(server: subprocess.Popen[str]) -> tuple[CheckResult, list[str]]:
        assert server.stdout is not None
        port = int(await asyncio.to_thread(server.stdout.readline))
        these = checks()
        result = await asked(these, check(url=f"http://127.0.0.1:{port}/mcp"))
        said: list[str] = []
        while not said or "DELETE" not in said[-1]:
            said.append(await asyncio.to_thread(server.stdout.readline))
        lost = await asked(these, check(url=f"http://127.0.0.1:{port}/"))
        assert (lost.fault, lost.detail) == (CheckFault.STATUS, "initialize: status 404")
        await these.close()
        return result, said

    with ExitStack() as ends:
        servers = [
            ends.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", SERVER, kind],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )
            for kind in ("http", "json")
        ]
        for server in servers:
            ends.callback(server.kill)
        for server in servers:
            result, said = asyncio.run(exchange(server))
            assert (result.ok, result.facts) == (True, SHOP), result
            statuses = [line.rpartition('"')[2].split()[0] for line in said]
            assert statuses == ["200", "202", "200", "200"]


def running(program: str) -> list[str]:
    """Give the processes that run a program."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and program in (entry / "cmdline").read_text():
                found.append(entry.name)
    return found


def written(message: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


def plain(body: bytes, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def over_http(
    answer: Callable[[socket.socket, dict[str, Any]], None], timeout_s: float = 5.0
) -> CheckResult:
    def handler(connection: socket.socket) -> None:
        head = hear(connection)
        body = head.partition(b"\r\n\r\n")[2]
        answer(connection, json.loads(body))

    with serving(handler) as port:
        return ask(check(url=f"http://127.0.0.1:{port}/mcp", timeout_s=timeout_s))


def test_events_and_noise_around_an_answer_are_passed_over() -> None:
    def answer(connection: socket.socket, message: dict[str, Any]) -> None:
        if "id" not in message:
            connection.sendall(plain(b"", "202 Accepted"))
            return
        result = INITIALIZED if message["method"] == "initialize" else {}
        noise = written({"method": "notifications/message", "params": {}})
        asks = written({"method": "ping", "id": message["id"]})
        found = written({"id": message["id"], "result": result})
        events = b": hello\n\n" + b"".join(
            b"event: message\r\nid: 7\r\ndata: " + one + b"\r\n\r\n" for one in (noise, asks, found)
        )
        start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        connection.sendall(start + events)
        connection.recv(1)

    result = over_http(answer)
    assert (result.ok, result.detail) == (True, "shop 1 answers a ping")


def hangs(connection: socket.socket, _: dict[str, Any]) -> None:
    connection.recv(1)


def streams(connection: socket.socket, _: dict[str, Any]) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        connection.sendall(b"data: " + written({"method": "noise"}) + b"\n\n")


def says(text: bytes) -> Callable[[socket.socket, dict[str, Any]], None]:
    return lambda connection, _: connection.sendall(text)


def refuses_the_ping(connection: socket.socket, message: dict[str, Any]) -> None:
    number = message.get("id")
    answer = {"id": number, "result": INITIALIZED}
    if message["method"] == "ping":
        answer = {"id": number, "error": {"code": -32603, "message": "no database"}}
    connection.sendall(plain(written(answer)))


@pytest.mark.parametrize(
    ("answer", "fault", "detail"),
    [
        (hangs, CheckFault.TIMEOUT, "no answer within 0.5 s"),
        (streams, CheckFault.BODY, "its answer is longer than 64 KiB"),
        (says(plain(b"{}")), CheckFault.PROTOCOL, "its answer to initialize is not JSON-RPC"),
        (says(plain(b"<html>")), CheckFault.PROTOCOL, "its answer to initialize is not JSON-RPC"),
        (
            says(plain(written({"id": 1, "result": {}}))),
            CheckFault.PROTOCOL,
            "its answer to initialize names no protocolVersion or no serverInfo",
        ),
        (
            says(plain(b": bye\n\n", kind="text/event-stream")),
            CheckFault.PROTOCOL,
            "its events ended without an answer to initialize",
        ),
        (
            says(b"HTTP/1.1 307 On\r\nLocation: /mcp/\r\nContent-Length: 0\r\n\r\n"),
            CheckFault.STATUS,
            "initialize: status 307, which leads to '/mcp/'",
        ),
        (refuses_the_ping, CheckFault.FAILED, "ping was refused: no database (-32603)"),
    ],
)
def test_h9_a_server_that_goes_wrong_over_http_is_a_failed_check(
    answer: Callable[[socket.socket, dict[str, Any]], None], fault: CheckFault, detail: str
) -> None:
    result = over_http(answer, timeout_s=0.5 if fault is CheckFault.TIMEOUT else 5.0)
    assert (result.ok, result.fault, result.detail) == (False, fault, detail)


READS = "import json, sys\nnumber = json.loads(sys.stdin.readline())['id']\n"


@pytest.mark.parametrize(
    ("code", "fault", "detail"),
    [
        ("import sys; sys.exit('no token')", CheckFault.EXIT, "exited with 1: no token"),
        ("import sys; sys.stdin.read()", CheckFault.TIMEOUT, "no answer within 1 s"),
        (READS + "while True: print('noise ' * 99)", CheckFault.BODY, "longer than 64 KiB"),
        (
            READS + "print(json.dumps({'id': number, 'error': {'code': 1, 'message': 'no'}}))",
            CheckFault.FAILED,
            "initialize was refused: no (1)",
        ),
    ],
)
def test_h9_a_server_that_goes_wrong_on_stdio_is_a_failed_check(
    code: str, fault: CheckFault, detail: str
) -> None:
    timeout_s = 1.0 if fault is CheckFault.TIMEOUT else 15.0
    result = ask(check(timeout_s=timeout_s, cmd=(sys.executable, "-u", "-c", code)))
    assert (result.ok, result.fault) == (False, fault), result
    assert result.detail.endswith(detail)


def test_a_server_that_writes_more_than_the_protocol_and_does_not_leave_passes_and_is_killed(
    tmp_path: Path,
) -> None:
    note = tmp_path / "pid"
    code = (
        "import json, os, signal, sys, time\n"
        f"open({str(note)!r}, 'w').write(str(os.getpid()))\n"
        "print('starting up', flush=True)\n"
        f"result = {INITIALIZED!r}\n"
        "for line in sys.stdin:\n"
        "    message = json.loads(line)\n"
        "    if 'id' in message:\n"
        "        print(json.dumps({'jsonrpc': '2.0', 'id': message['id'], 'result': result}))\n"
        "        sys.stdout.flush()\n"
        "time.sleep(600)"
    )
    result = ask(check(cmd=(sys.executable, "-c", code)))
    assert (result.ok, result.detail) == (True, "shop 1 answers a ping")
    until(lambda: not Path("/proc", note.read_text()).exists())
