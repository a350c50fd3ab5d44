"""Services that are asked whether they are well, under a real daemon."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.adapters.checks import Checks as HostChecker
from reconciler.adapters.checks import Place
from reconciler.adapters.clock import HostClock
from reconciler.model.health import CheckType, HealthCheck, HttpCheck, TcpCheck, Verdict
from reconciler.model.observed import Slot
from reconciler.model.units import milliseconds, seconds
from reconciler.runtime.checked import SlotHealth
from reconciler.runtime.checking import Checking
from reconciler.runtime.checks import Checks
from tests.cli.shell import weaver
from tests.real.station import Json, Station, python
from tests.runtime.test_checks import situation, slot, up
from tests.waiting import until, until_async

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


def wait_for_check_s(here: Station, name: str) -> float:
    due = datetime.fromisoformat(health(here, name)["nextCheck"])
    return (due - datetime.now(UTC)).total_seconds()


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
    assert "http check: status 500, want 2xx, 2 in a row" in here.service("b")["reason"]
    said = weaver("health", "b", "--check", cwd=here.root)
    assert (said.returncode, "b-0  degraded" in said.stdout) == (7, True)
    assert weaver("health", "x", cwd=here.root).returncode == 6
    before = here.pids()

    here.kill_daemon()
    here.up()
    until(lambda: here.service("b").get("state") not in {None, "unknown"})
    assert here.service("b")["state"] == "degraded"
    ills["b"].unlink()
    until(lambda: here.is_running("a", "b", "c"))
    assert (here.pid("a"), here.pid("b")) == (before["a-0"], before["b-0"])
    assert kinds(here, "b") == ["service.degraded", "service.recovered"]
    manifest = here.file("b").read_text()
    here.file("b").write_text(manifest.replace("interval: 200ms", "interval: 1h"))
    until(lambda: wait_for_check_s(here, "b") > 1000)
    assert here.pid("b") == before["b-0"]

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


def test_one_that_hangs_keeps_fifty_others_waiting_for_less_than_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        charts = asyncio.run(checked_until_it_has_failed(silent.getsockname()[1]))
    made = [checked for chart in charts.values() for checked in chart.history]
    assert len(made) > 50
    assert all(chart.history for chart in charts.values())
    assert max(checked.late for checked in made) < seconds(1)
    assert charts[slot("silent")].verdict is Verdict.DEGRADED
    assert charts[slot("s1")].verdict is Verdict.HEALTHY


async def checked_until_it_has_failed(port: int) -> Mapping[Slot, SlotHealth]:
    """Check one service that is never answered and fifty that are; give what came of it."""
    clock = HostClock()
    often = HealthCheck(
        type=CheckType.TCP,
        tcp=TcpCheck(port=port),
        interval=milliseconds(200),
        timeout=milliseconds(200),
        start_interval=milliseconds(200),
    )
    http = HttpCheck(url=f"http://127.0.0.1:{port}/")
    asked = replace(often, type=CheckType.HTTP, tcp=None, http=http)
    running = [up("silent", asked), *(up(f"s{number}", often) for number in range(50))]
    checker = HostChecker(no_place, clock.now)
    checks = Checks(checker, clock, lambda _: None)
    nothing_turns = asyncio.Event()
    work = Checking(checks, clock).run(nothing_turns.wait, lambda: situation(running))
    task = asyncio.create_task(work)
    try:
        await until_async(lambda: checks.charts().slots)
        await until_async(lambda: checks.charts().slots[slot("silent")].failures >= 3)
        return checks.charts().slots
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await checker.close()


def no_place(*_: object) -> Place:
    raise AssertionError("nothing is run to ask over the network")
