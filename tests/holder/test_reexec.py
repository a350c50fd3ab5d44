"""The holder replaces its own program, and nothing it holds notices."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.holder import reexec
from tests.holder.installation import installation
from tests.holder.rig import Rig
from tests.settings import in_every_setting
from tests.waiting import until

pytestmark = pytest.mark.real

NEXT = "99.0.0"


def files_of(rig: Rig) -> int:
    return len([*Path(f"/proc/{rig.holder_pid}/fd").iterdir()])


def test_two_hundred_services_outlive_an_upgrade_and_the_way_back(rig: Rig, tmp_path: Path) -> None:
    upgraded = installation(tmp_path / "next", NEXT)
    services = [rig.spawn(f"s-{n}", "sleep", "1000") for n in range(200)]
    holder = rig.holder_pid
    first = rig.spawn("a-0", "sh", "-c", "exit 7")
    rig.wait_for("empty", first)
    for version, program in ((NEXT, upgraded), (__version__, reexec.PROGRAM)):
        answer = rig.ask("reexec", program=program)
        assert (answer["version"], answer["pid"]) == (version, holder)
        assert {one.run: (one.pid, one.born) for one in services} == {
            run: (it["pid"], it["born"]) for run, it in rig.runs().items() if it["exit"] is None
        }
        assert rig.runs()[first.run]["exit"]["code"] == 7
        ended = services.pop()
        os.kill(ended.pid, signal.SIGKILL)
        assert rig.wait_for("exited", ended)["signal"] == signal.SIGKILL
        rig.wait_for("empty", ended)
    numbers = [event["seq"] for event in rig.events if "seq" in event]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(one.is_alive for one in services)
    assert rig.spawn(ended.slot, "true").pid
    assert rig.connect()["pid"] == holder


@in_every_setting
def test_ends_that_nobody_has_collected_and_trees_without_a_main_process_come_along(
    rig: Rig,
) -> None:
    """The holder is stopped while they end, so all of it happens between two programs."""
    left = rig.spawn_shell("tree-0", "setsid sleep 1000 & echo up; exit 4")
    rig.wait_for("exited", left)
    quick = rig.spawn("quick-0", "sleep", "1000")
    serial = rig.post("reexec", program=installation(rig.root / "next", NEXT))
    os.kill(quick.pid, signal.SIGSEGV)
    assert rig.answer(serial)["version"] == NEXT
    assert rig.wait_for("exited", quick)["signal"] == signal.SIGSEGV
    rig.wait_for("empty", quick)
    assert not rig.runs()[left.run]["empty"]
    assert rig.signal(left, signal.SIGKILL, "tree")["reached"] == 1
    rig.wait_for("empty", left)


@in_every_setting
def test_what_was_adopted_before_is_held_on_to_after(rig: Rig) -> None:
    adopted = rig.spawn("web-0", "sleep", "1000")
    rig.restart_holder()
    rig.ask("reexec")
    assert rig.signal(adopted, signal.SIGTERM)["reached"] == 1
    rig.wait_for("empty", adopted)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("loop.py", "import errno", "import errno, nothing_of_the_kind"), "nothing_of_the_kind"),
        (("reexec.py", 'NEEDED = ("state"', 'NEEDED = ("soul", "state"'), "did not tell its soul"),
    ],
    ids=["broken", "of another mind"],
)
def test_a_program_that_cannot_begin_is_refused_and_the_old_one_goes_on(
    rig: Rig, tmp_path: Path, change: tuple[str, str, str], why: str
) -> None:
    web = rig.spawn("web-0", "sleep", "1000")
    error = rig.ask("reexec", program=installation(tmp_path / "bad", NEXT, change))["error"]
    assert error["step"] == "reexec"
    assert why in error["text"]
    assert "cannot take over" in error["text"]
    missing = rig.ask("reexec", python="/nowhere/python")["error"]["text"]
    assert missing == "cannot run /nowhere/python: No such file or directory"
    os.kill(web.pid, signal.SIGKILL)
    assert rig.wait_for("exited", web)["signal"] == signal.SIGKILL


def test_no_service_gets_more_than_before_and_nothing_leaks(rig: Rig) -> None:
    def surroundings(slot: str) -> str:
        script = "ulimit -n; cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l"
        started = rig.spawn(slot, "sh", "-c", script)
        rig.wait_for("empty", started)
        return started.output

    rig.spawn("web-0", "sleep", "1000")
    before, files = surroundings("a-0"), files_of(rig)
    for _ in range(3):
        rig.ask("reexec")
    assert surroundings("b-0") == before
    until(lambda: files_of(rig) <= files)
    name = Path(f"/proc/{rig.holder_pid}/comm").read_text().strip()
    assert name == "weaver-holder"
