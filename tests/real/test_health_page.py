"""Services that are checked while they run, through a real daemon: the examples of the page."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.real.servers import free_ports
from tests.real.station import Station
from tests.waiting import until

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "health.md"
OFTEN = "  interval: 1s\n  degradationThreshold: {consecutiveFailures: 1}\n"
"""Not more often: a checker in Python has to start in this time, on a busy host too."""


def block(kind: str, start: str) -> str:
    """Give an example that the page tells newcomers to copy."""
    found = re.search(rf"```{kind}\n({start}.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_examples_of_the_page_are_well_then_degraded_then_well_again(here: Station) -> None:
    [port] = free_ports(1)
    web = block("yaml", "name: web").replace("8000", str(port)).replace("  interval: 10s\n", OFTEN)
    web = web.replace("onUnhealthy: restart", "onUnhealthy: none")
    worker = block("yaml", "name: worker").replace("python3 worker.py", "sleep 1000")
    worker = worker.replace("  type: custom\n", f"  type: custom\n{OFTEN}")
    (here.root / "healthz").write_text('{"status": "ok"}')
    (here.root / "checks").mkdir()
    (here.root / "checks" / "queue.py").write_text(block("python", "import os"))
    (here.root / "queue").mkdir()
    here.file("web").write_text(web)
    here.file("worker").write_text(worker)
    here.up()
    assert here.settle()["exitCode"] == 0
    before = {name: here.pid(name) for name in ("web", "worker")}
    until(lambda: [here.instance(name)["healthStatus"] for name in before] == ["healthy"] * 2)

    (here.root / "healthz").write_text('{"status": "on fire"}')
    shutil.rmtree(here.root / "queue")
    until(lambda: [here.service(name)["state"] for name in before] == ["degraded"] * 2)
    status = here.text("/v1/status?format=table&name=web")
    assert "expectedBody" in status
    assert "No such file or directory: 'queue'" in here.text("/v1/health?name=worker")

    (here.root / "healthz").write_text('{"status": "ok"}')
    (here.root / "queue").mkdir()
    until(lambda: [here.service(name)["state"] for name in before] == ["running"] * 2)
    assert {name: here.pid(name) for name in before} == before
