"""Services that are asked whether they are well, under a real daemon."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.real.station import Json, Station, python
from tests.waiting import until

pytestmark = pytest.mark.real

SERVER = """
import http.server, os, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists({ill!r}) else 200)
        self.end_headers()
    def log_message(self, *words): pass
class Server(http.server.HTTPServer):
    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()
Server(("127.0.0.1", {port}), Answer).serve_forever()
"""
HEALTH = """\
healthCheck:
  type: http
  interval: 200ms
  timeout: 200ms
  http: {{url: "http://127.0.0.1:{port}/"}}
  degradationThreshold: {{consecutiveFailures: 2}}
onUnhealthy: {action}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def serve(here: Station, name: str, action: str) -> Path:
    """Define a server that answers 500 while a file is there; give the file."""
    port, ill = free_port(), here.root / f"{name}.ill"
    code = SERVER.format(ill=str(ill), port=port)
    here.define(name, python(code), HEALTH.format(port=port, action=action))
    return ill


def health(here: Station, name: str) -> Json:
    (found,) = here.ask(f"/v1/health?name={name}")["checks"]
    return dict(found)


def kinds(here: Station, name: str) -> list[str]:
    wanted = ("service.degraded", "service.recovered")
    return [event["kind"] for event in here.events(name) if event["kind"] in wanted]


def test_what_fails_its_check_is_degraded_restarted_and_recovers(here: Station) -> None:
    """Over the death of the daemon, too; who needs it healthy waits until its check has passed."""
    ills = {name: serve(here, name, do) for name, do in (("a", "restart"), ("b", "none"))}
    here.define("c", more="dependsOn: {b: {condition: healthy}}\n")
    hook = json.dumps(["/bin/sh", "-c", "cat >> told"])
    (here.root / "weaver.yaml").write_text(f"hooks:\n  service-degraded: {{command: {hook}}}\n")
    ills["b"].touch()
    here.up()
    until(lambda: here.service("b").get("state") == "degraded")
    assert here.service("c")["state"] == "stopped"
    assert "its http check failed 2 times in a row: status 500" in here.service("b")["reason"]
    before = here.pids()

    here.kill_daemon()
    here.up()
    until(lambda: here.service("b").get("state") not in {None, "unknown"})
    assert here.service("b")["state"] == "degraded"
    ills["b"].unlink()
    until(lambda: here.is_running("a", "b", "c"))
    assert (here.pid("a"), here.pid("b")) == (before["a-0"], before["b-0"])
    assert kinds(here, "b") == ["service.degraded", "service.recovered"]

    ills["a"].touch()
    until(lambda: here.pid("a") not in {None, before["a-0"]})
    ills["a"].unlink()
    until(lambda: here.is_running("a") and health(here, "a")["status"] == "healthy")
    assert kinds(here, "a")[:1] == ["service.degraded"]
    assert health(here, "a")["consecutiveSuccesses"] >= 1
    assert here.instance("a")["healthStatus"] == "healthy"
    page = here.text("/metrics")
    assert (
        'service_health_check_failures_total{service="a",check_type="http",reason="status"}' in page
    )
    assert 'service_restarts_total{service="a",reason="health"} 1' in page
    until((here.root / "told").exists)
    told = [json.loads(line) for line in (here.root / "told").read_text().splitlines()]
    assert {(one["hook"], one["event"]) for one in told} == {
        ("service-degraded", "service.degraded")
    }


def test_one_that_hangs_keeps_fifty_others_waiting_for_less_than_a_second(here: Station) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        ask = "type: http, interval: 250ms, timeout: 250ms"
        url = f'http: {{url: "http://127.0.0.1:{port}/"}}'
        here.define("silent", more=f"healthCheck: {{{ask}, {url}}}\n")
        for number in range(50):
            check = f"type: tcp, interval: 250ms, timeout: 250ms, tcp: {{port: {port}}}"
            here.define(f"s{number}", more=f"healthCheck: {{{check}}}\n")
        here.up()
        until(lambda: health(here, "silent")["consecutiveFailures"] >= 3)
        checks = here.ask("/v1/health")["checks"]
    made = [checked for one in checks for checked in one["history"]]
    assert len(made) > 50
    assert max(checked["late"] for checked in made) < 1
    assert {one["error"] for one in checks if one["service"] == "silent"} == {
        "no answer within 0.25 s"
    }
