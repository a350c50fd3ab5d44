"""Limits of real services: kept by control groups where there are any for us, else by measuring."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.holder.hierarchy import UNIFIED, own_groups
from tests import settings
from tests.holder.rig import MAIN
from tests.real.station import Station
from tests.waiting import until

pytestmark = pytest.mark.real

EATER = "import time; time.sleep(0.2); x = b'x' * (96 << 20); print('ate'); time.sleep(1000)"


def eat(here: Station) -> str:
    """Write a program that uses 96M soon after its start, and give the command that runs it."""
    (here.root / "eat.py").write_text(EATER)
    return f"{sys.executable} -S eat.py"


def events(here: Station, kind: str) -> list[str]:
    return [one["reason"] for one in here.ask("/v1/events")["events"] if one["kind"] == kind]


def test_v16_what_uses_too_much_is_killed_by_the_kernel_and_said_to_be(here: Station) -> None:
    if "memory" not in own_groups():
        pytest.skip("no memory controller of version 1 here")
    here.define("greedy", eat(here), "maxMemory: 32M\nmaxCpu: 50%\npidsMax: 9\nmaxRestarts: 0\n")
    here.define("modest", more="maxMemory: 64M\n")
    here.define("vast", more="maxMemory: 900T\n")
    here.commit()
    here.up()
    words = "killed by the kernel: out of memory (maxMemory 32M)"
    until(lambda: words in here.service("greedy").get("reason", ""), message="the kill")
    last = here.instance("greedy")["lastExit"]
    assert (last["signal"], last["oom"]) == ("SIGKILL", True)
    assert any(words in reason for reason in events(here, "service.crashed"))
    page = here.text("/v1/status?name=greedy&format=table&width=200")
    assert "maxMemory 32M (cgroup v1), maxCpu 0.5 (cgroup v1), pidsMax 9 (cgroup v1)" in page
    assert "held in" in page
    assert here.service("modest")["state"] == "running"
    held = here.service("vast")
    assert held["reasonCode"] == "MemoryShort"
    assert held["reason"].startswith("needs 900T, ")
    assert held["reason"].endswith(" available")
    doctor = here.text("/v1/doctor")
    assert "maxMemory" in doctor
    assert "by cgroup v1" in doctor


def test_without_control_groups_the_tree_is_measured_and_replaced_in_order(here: Station) -> None:
    holder = [sys.executable, "-I", "-S", str(MAIN), str(here.root), str(here.paths.state)]
    subprocess.run(settings.command("none", holder), env={}, check=True, timeout=20)
    (here.root / "once.sh").write_text(
        "trap 'echo asked to end; exit 0' TERM\n"
        "[ -e ate ] && { echo again; while :; do sleep 0.1; done; }\n"
        f"touch ate; {sys.executable} -S eat.py & wait $!\n"
    )
    eat(here)
    here.define("greedy", "sh once.sh", "maxMemory: 64M\npidsMax: 9\nrestart: never\n")
    here.define("told", eat(here), "maxMemory: 64M\nmemoryAction: alert\n")
    here.commit()
    here.up()
    log = Path(here.paths.logs, "greedy", "0.log")
    until(lambda: log.exists() and "again" in log.read_text(), seconds=20, message="a new process")
    assert log.read_text().split() == ["ate", "asked", "to", "end", "again"]
    until(lambda: len(events(here, "service.over-limit")) == 2)
    assert all("maxMemory is 64M" in reason for reason in events(here, "service.over-limit"))
    assert here.service("told")["reason"].startswith("uses 9")
    assert here.instance("told")["restartCount"] == 0
    assert here.instance("greedy")["restartCount"] == 1
    assert 'service_restarts_total{service="greedy",reason="memory"} 1' in here.text("/metrics")
    page = here.text("/v1/status?name=greedy&format=table&width=200")
    assert "maxMemory 64M (measured), pidsMax 9 (not in force)" in page
    assert "a session with a mark (no cgroup v2 is mounted here)" in page
    assert UNIFIED not in own_groups() or settings.has_v2()
