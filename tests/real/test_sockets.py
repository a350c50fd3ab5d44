"""Ports that are bound for services: real servers take them, and nothing closes them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.real.calling import Caller
from tests.real.servers import free_ports
from tests.real.station import Station, environment_of, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

ASGI = """
import os
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""
WSGI = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""
NODE = """
const http = require("node:http")
http.createServer((_, answer) => answer.end(String(process.pid))).listen({ fd: 3 })
process.on("SIGTERM", () => process.exit(0))
"""
PYTHON = sys.executable
COMMANDS = {
    "uvicorn": f"{PYTHON} -m uvicorn --fd 3 --lifespan off --log-level error served:app",
    "gunicorn": f"{PYTHON} -m gunicorn --workers 1 --log-level error plain:app",
    "hypercorn": f"{PYTHON} -m hypercorn --bind fd://3 --log-level error served:app",
    "node": "node served.js",
}
"""Servers, each in the way in which it takes a socket that it was passed."""


def test_no_connection_is_refused_whatever_dies_and_whatever_is_replaced(here: Station) -> None:
    (here.root / "served.py").write_text(ASGI)
    (here.root / "plain.py").write_text(WSGI)
    (here.root / "served.js").write_text(NODE)
    ports = dict(zip(COMMANDS, free_ports(len(COMMANDS)), strict=True))
    for name, command in COMMANDS.items():
        listen = f"sockets: [{{listen: 'tcp://127.0.0.1:{ports[name]}'}}]\n"
        more = "instances: 2\nexecMode: cluster\n" if name == "node" else ""
        here.define(name, command, f"{listen}backoff: {{initial: 0, jitter: 0}}\n{more}")
    here.up()
    assert here.settle()["exitCode"] == 0, here.status()
    callers = {name: Caller(port) for name, port in ports.items()}

    def all_are_served() -> None:
        for caller in callers.values():
            caller.is_served_again()

    try:
        all_are_served()
        for name in COMMANDS:  # a process dies, and the next one finds who waited
            os.kill(here.pid(name) or 0, signal.SIGKILL)
        all_are_served()
        holder = here.status()["daemon"]["holderPid"]
        os.kill(holder, signal.SIGKILL)
        until(lambda: here.status()["daemon"]["holderPid"] not in (None, holder))
        here.kill_daemon()
        here.up()
        both = (here.daemon_pid or 0, here.status()["daemon"]["holderPid"])
        for pid in both:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(is_alive, both)))
        here.up()
        weaver = [sys.executable, "-m", "reconciler", "-C", str(here.root), "reexec"]
        subprocess.run(weaver, check=True, capture_output=True)
        said = here.tell("/v1/operations", kind="restart", services=["gunicorn", "node"])
        assert said[-1]["exitCode"] == 0, said
        all_are_served()
        assert {name: one.counts["refused"] for name, one in callers.items()} == dict.fromkeys(
            COMMANDS, 0
        )
    finally:
        for caller in callers.values():
            caller.stop()
    text = here.file("node").read_text()
    here.file("node").write_text(f"{text}state: stopped\n")
    until(lambda: not is_open(ports["node"]), message="the port to be closed")


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_an_address_that_somebody_has_holds_the_start_and_is_named(here: Station) -> None:
    """Once it is free, all instances get all sockets in their order."""
    script = "echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)); exec sleep 1000"
    (here.root / "web.sh").write_text(script)
    us = f"(pid {os.getpid()})"
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as file:
        path = Path(folder, "admin.sock")
        file.bind(str(path))
        file.listen()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            http = f"{{listen: 'tcp://127.0.0.1:{port}'}}"
            admin = f"{{name: admin, listen: 'unix:{path}', mode: 600}}"
            here.define("web", "sh web.sh", f"instances: 2\nsockets: [{http}, {admin}]\n")
            here.up()
            until(lambda: here.service("web").get("reasonCode") == "AddressTaken")
            assert f"tcp://127.0.0.1:{port} is in use by" in here.service("web")["reason"]
            assert us in here.service("web")["reason"]
        until(lambda: str(path) in here.service("web")["reason"], message="the next reason")
        assert us in here.service("web")["reason"]
        assert here.instance("web")["restartCount"] == 0
        file.close()
        until(lambda: here.is_running("web"), message="the start once all is free")
        assert path.stat().st_mode & 0o777 == 0o600
        logs = sorted(Path(here.paths.logs, "web").glob("*.log"))
        assert [log.read_text() for log in logs] == ["2 web:admin 0\n"] * 2
        here.file("web").write_text("name: web\ncommand: sleep 1000\nstate: stopped\n")
        until(lambda: not path.exists(), message="the file to be removed")


def test_a_port_that_is_left_to_us_is_picked_once_written_down_and_committed(
    here: Station,
) -> None:
    listens = (
        f"name: web  # the front\ncommand: {PYTHON} -m http.server --bind 127.0.0.1 ${{port}}\n"
        "ready: {type: tcp, tcp: {port: '${port}'}}\n# any will do\n"
    )
    here.file("web").write_text(f"{listens}port: auto   # please\n")
    here.commit()
    here.up()
    until(lambda: here.is_running("web"), message="it to run")
    text = here.file("web").read_text()
    port = int(environment_of(here.pid("web") or 0)["PORT"])
    assert text == f"{listens}port: {port}   # please\n"
    told = here.git("log", "-1", "--format=%an %s", "--", "services.d")
    assert f"Weaver web: set port={port}" in told.splitlines()
    assert here.git("status", "--porcelain") in ("", "?? .weaver/\n")
    pid = here.pid("web")
    here.file("web").write_text(text.replace(str(port), "auto"))
    here.commit()
    until(lambda: f"port: {port}" in here.file("web").read_text(), message="the one it listens on")
    assert here.pid("web") == pid, "nothing was stopped to be without a port"
