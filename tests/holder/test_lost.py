"""The journal is lost and nobody who knew it lives: what runs is found, and never doubled."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.holder import lost, tree
from reconciler.holder.hierarchy import UNIFIED, own_groups
from tests.holder.rig import PATH, Message, Rig
from tests.settings import in_every_setting, with_a_leaf
from tests.waiting import until

pytestmark = pytest.mark.real

SPEAKER = Path(__file__).with_name("speaker.py")


def group_name(rig: Rig) -> str:
    found = rig.directory.stat()
    return f"weaver-{found.st_dev}-{found.st_ino}"


def living(rig: Rig) -> dict[str, tuple[int, int]]:
    """Give pid and birth tick of each run that is listed and not over."""
    return {run: (it["pid"], it["born"]) for run, it in rig.runs().items() if it["exit"] is None}


@in_every_setting
def test_a_journal_deleted_before_holder_and_daemon_died_doubles_nothing(rig: Rig) -> None:
    """Found with their slots and tags, hooks beside them too, and what a dead one left behind."""
    away = "setsid sh -c 'echo up; exec sleep 1000'"
    web = rig.spawn_shell("web-0", f"({away} &); echo up; exec sleep 1000", ups=2)
    hook = rig.spawn("web-0/preStop", "sleep", "1000", tag={"digest": "d2", "role": "preStop"})
    rest = rig.spawn_shell("rest-0", "sleep 1000 & echo up; exit 3")
    rig.wait_for("exited", rest)
    shutil.rmtree(rig.state)
    rig.restart_holder()
    assert living(rig) == {one.run: (one.pid, one.born) for one in (web, hook)}
    runs = rig.runs()
    assert (runs[hook.run]["slot"], runs[hook.run]["tag"]["digest"]) == (hook.slot, "d2")
    assert runs[web.run]["at"] // tree.NANOS_PER_TICK <= web.born
    for one in (web, hook, rest):
        assert rig.try_spawn(one.slot, ["true"])["error"]["errno"] == errno.EBUSY
    assert runs[rest.run]["exit"]["code"] in (3, None), "as far as a zombie of it tells"
    assert rig.signal(web, signal.SIGKILL, "tree")["reached"]
    rig.wait_for("empty", web)
    assert rig.try_spawn("web-0", ["true"])["pid"]


def behind(_: Rig, journal: Path) -> None:
    """Let it be as it was before the second start."""
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if "s-1" not in line))


def garbled(_: Rig, journal: Path) -> None:
    journal.write_bytes(b"\xff{\n[]\n7\n" + journal.read_bytes()[-20:])


def a_folder(_: Rig, journal: Path) -> None:
    journal.unlink()
    journal.mkdir()


def torn(_: Rig, journal: Path) -> None:
    os.truncate(journal, 60)


def test_a_journal_that_is_not_whole_hides_no_run(rig: Rig) -> None:
    started = [rig.spawn(f"s-{n}", "sleep", "1000") for n in range(2)]
    for lose in (torn, garbled, behind, a_folder):
        lose(rig, rig.state / "holder" / "journal")
        rig.restart_holder()
        assert living(rig) == {one.run: (one.pid, one.born) for one in started}, lose.__name__
    said = (rig.state / "holder.log").read_text()
    assert said.count("no journal tells of: s-0 s-1") == 3
    assert said.count("no journal tells of: s-1") == 1


@with_a_leaf
def test_what_has_wiped_its_environment_is_found_by_its_leaf(rig: Rig) -> None:
    """As servers do that write their title there; a child that left is not taken for the main."""
    hidden = rig.spawn_shell("hidden-0", "(setsid sleep 1000 &); echo up; exec env -i sleep 1000")
    until(lambda: not tree.mark(hidden.pid))
    gone = rig.spawn_shell("gone-0", "setsid env -i sleep 1000 & echo up; exit 0")
    rig.wait_for("exited", gone)
    (rig.state / "holder" / "journal").unlink()
    rig.restart_holder()
    assert living(rig) == {hidden.run: (hidden.pid, hidden.born)}
    assert rig.runs()[gone.run]["exit"]["code"] in (0, None)
    assert rig.try_spawn("gone-0", ["true"])["error"]["errno"] == errno.EBUSY


def test_one_that_spoke_is_heard_again_and_taken_to_be_ready(rig: Rig) -> None:
    go = rig.root / "go"
    words = ["/usr/bin/python3", str(SPEAKER), "say READY=1", f"wait {go}", "say STATUS=again"]
    web = rig.spawn("web-0", *words, "hold", notify={"watchdog": 10**12})
    rig.says(web, ready=True)
    (rig.state / "holder" / "journal").unlink()
    rig.kill_holder()
    rig.close_kept()
    rig.start()
    assert rig.notice(web)["ready"]
    go.touch()
    assert rig.says(web, status="again", ready=True)["notice"]["watchdog"] == 10**12


@pytest.fixture
def imposters() -> Iterator[Callable[[Message, str], int]]:
    """Start processes that carry an entry, and a mark."""
    started: list[subprocess.Popen[bytes]] = []

    def start(entry: Message, mark: str) -> int:
        env = {"PATH": PATH, "WEAVER_RUN": mark, lost.MARK: json.dumps(entry)}
        process = subprocess.Popen(["sleep", "1000"], env=env, start_new_session=True)
        started.append(process)
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_what_is_of_another_directory_or_time_is_no_run_of_ours(
    rig: Rig, imposters: Callable[[Message, str], int]
) -> None:
    of = group_name(rig)
    whole = {"of": of, "run": "r1", "slot": "web-0", "at": 1, "tag": {"digest": "d"}}
    imposters(whole | {"run": "r2", "of": f"{of}1"}, "r2")
    imposters(whole | {"run": "r3", "at": tree.now() + 10**12}, "r3")
    imposters(whole | {"run": "r4"}, "r5")
    imposters({**whole, "run": "r6", "slot": 7}, "r6")
    imposters({"of": of}, "r7")
    rig.restart_holder()
    assert rig.runs() == {}
    ours = imposters(whole, "r1")
    rig.restart_holder()
    assert {run: it["pid"] for run, it in rig.runs().items()} == {"r1": ours}


# --- control groups that dead holders left ---


def group_of(rig: Rig) -> Path:
    return Path(own_groups()[UNIFIED], group_name(rig))


@with_a_leaf
def test_a_holder_that_ends_leaves_no_group_and_a_dead_one_s_is_cleared(
    rig: Rig, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "third").mkdir()
    other, third = Rig(tmp_path / "other", "v2"), Rig(tmp_path / "third", "v2")
    other.start()
    rig.kill_holder(signal.SIGTERM)
    assert not group_of(rig).exists()
    rig.start()
    left = other.spawn("web-0", "sleep", "1000")
    other.kill_holder()
    third.start()
    assert group_of(rig).exists(), "its holder lives"
    assert group_of(other).exists(), "something lives in it"
    os.kill(left.pid, signal.SIGKILL)
    until(lambda: not left.is_alive)
    rig.restart_holder()
    assert not group_of(other).exists()
    assert third.spawn("web-0", "sleep", "1000").pid
    third.close()
    until(lambda: not group_of(third).exists())
