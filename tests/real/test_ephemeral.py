"""What is applied for a while goes by itself, whoever is there to see to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.station import QUICK, SLEEP, Station
from tests.waiting import until

pytestmark = pytest.mark.real


def command_of(pid: int | None) -> str:
    """Give what a process was started as."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()


def text(name: str, command: str) -> dict[str, str]:
    return {"text": f"name: {name}\ncommand: {command}\n{QUICK}"}


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
