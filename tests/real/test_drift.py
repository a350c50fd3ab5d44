"""What people do to processes behind Weaver's back: seen, told, and undone."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.station import Station
from tests.waiting import until

pytestmark = pytest.mark.real


def stat_of(pid: int) -> list[str]:
    """Give the fields of /proc/PID/stat behind the name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def told(here: Station, kind: str) -> list[tuple[Any, Any]]:
    events = here.ask("/v1/events")["events"]
    return [(one["instance"], one["reason"]) for one in events if one["kind"] == kind]


def test_v18_what_was_stopped_or_reniced_by_hand_is_seen_and_put_right(here: Station) -> None:
    here.define("web", more="nice: 5\n")
    here.define("free")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    web, free = here.pid("web"), here.pid("free")
    assert web is not None
    assert free is not None
    os.setpriority(os.PRIO_PROCESS, web, 19)
    os.setpriority(os.PRIO_PROCESS, free, 19)
    os.kill(free, signal.SIGSTOP)
    until(lambda: stat_of(free)[0] == "T", message="the stop")
    until(lambda: stat_of(free)[0] == "S", seconds=15, message="the process to go on")
    until(lambda: os.getpriority(os.PRIO_PROCESS, web) == 5, message="the nice of its manifest")
    until(lambda: len(told(here, "drift.repaired")) == 2)
    assert sorted(told(here, "drift.found")) == [
        ("free-0", "it was stopped by hand (SIGSTOP)"),
        ("web-0", "its nice is 19, not 5"),
    ]
    assert os.getpriority(os.PRIO_PROCESS, free) == 19
    assert (here.pid("web"), here.pid("free")) == (web, free)
    assert here.service("free")["sync"] == "Synced"


def test_v19_a_stranger_who_has_the_port_is_named_and_never_touched(here: Station) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serve = f"{sys.executable} -S -m http.server --bind 127.0.0.1 {port}"
        patience = "maxRestarts: 0\nbackoff: {initial: 10ms, jitter: 0ms, max: 300ms}\n"
        probe = f"ready: {{type: tcp, tcp: {{port: {port}}}}}\n"
        here.define("web", serve, patience + probe, quick=False)
        here.commit()
        here.up()
        who = f"port {port} is in use by "
        until(lambda: len(told(here, "service.crashed")) > 1, seconds=15, message="two failures")
        until(lambda: f"(pid {os.getpid()})" in here.service("web")["reason"])
        assert [reason.startswith(who) for _, reason in told(here, "drift.found")] == [True]
        until(lambda: [one["service"] for one in here.ask("/v1/plan")["drift"]] == ["web"])
    until(lambda: here.is_running("web"), seconds=15, message="the service to have its port")
