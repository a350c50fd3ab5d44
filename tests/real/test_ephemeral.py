"""What is applied for a while goes by itself, whoever is there to see to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.station import QUICK, SLEEP, Station, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real


def command_of(pid: int | None) -> str:
    """Give what a process was started as."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()


def text(name: str, command: str) -> dict[str, str]:
    return {"text": f"name: {name}\ncommand: {command}\n{QUICK}"}


def test_who_stops_at_once_waits_for_no_time_limit_and_no_hook(here: Station) -> None:
    slow = "ready: {type: delay, delay: 50ms}\nstopTimeout: 60s\n"
    slow += "hooks: {preStop: sleep 50, postStop: touch gone}\n"
    here.define(
        "web", """["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]""", slow, quick=False
    )
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    pid = here.pid("web")
    said = here.tell("/v1/changes", kind="stop", services=["web"], ttl=3, now=True, timeout=20)
    assert (said[-1]["exitCode"], said[-1]["undo"]) == (0, "weaver revert web"), said
    assert not is_alive(pid)
    assert here.service("web")["reasonCode"] == "Ephemeral"
    assert (here.root / "gone").exists(), "who clears up after it may do so"
    until(lambda: here.is_running("web"), message="its time to be over")
    # One that takes its time is killed once somebody waits no longer; then all is forgotten.
    pid = here.pid("web")
    here.tell("/v1/changes", kind="stop", services=["web"], wait=False)
    until(lambda: here.instance("web")["state"] == "stopping")
    assert here.tell("/v1/changes", kind="stop", services=["web"], now=True)[-1]["exitCode"] == 0
    assert not is_alive(pid)
    here.tell("/v1/changes", kind="start", services=["web"])
    here.tell("/v1/changes", kind="stop", services=["web"], wait=False)
    until(lambda: here.instance("web")["state"] == "stopping")
    assert is_alive(here.pid("web"))


def test_what_was_applied_for_a_while_ends_though_its_daemon_was_killed(here: Station) -> None:
    here.define("web")
    here.define("free")
    head = here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    free = here.pid("free")
    documents = [text("web", "sleep 4711"), text("probe", "sleep 4712")]
    said = here.tell("/v1/changes", kind="apply", documents=documents, ttl=1.5)
    assert said[-1]["exitCode"] == 0, said
    assert said[-1]["undo"] == "weaver revert web probe"
    assert command_of(here.pid("web")) == "sleep 4711"
    web = here.service("web")
    assert (web["sync"], web["reasonCode"], web["ephemeral"]["isNew"]) == (
        "OutOfSync",
        "Ephemeral",
        False,
    )
    here.kill_daemon()
    here.up()
    # Synced says which spec it has, not that the process with it is there already.
    until(lambda: "probe" not in here.pids() and here.service("web")["sync"] == "Synced")
    until(lambda: here.is_running("web"))
    assert command_of(here.pid("web")) == SLEEP
    assert here.pid("free") == free
    assert here.git("rev-parse", "HEAD").strip() == head
    ended = [one for one in here.events() if one["kind"] == "drift.ended"]
    assert {(one["service"], one["reason"]) for one in ended} == {
        ("web", "its time is over"),
        ("probe", "its time is over"),
    }
