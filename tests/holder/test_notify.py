"""What services say of themselves: heard whoever listens, from nobody else, in nobody's way."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from reconciler.holder import tree, wire
from reconciler.model.event import Scope, Spawned, TreeEmptied
from reconciler.model.spec import ServiceSpec, ServiceType
from reconciler.model.units import Digest, ServiceName
from tests.holder import speaker
from tests.holder.installation import installation
from tests.holder.native_desk import Desk, with_desk
from tests.holder.rig import Rig, Started
from tests.waiting import until, until_async

pytestmark = pytest.mark.real
SPEAKER = str(Path(__file__).with_name("speaker.py"))
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-notify") is None, reason="systemd-notify is not installed"
)


def speak(rig: Rig, slot: str, *steps: str, watchdog: int = 0) -> Started:
    """Start a service that does these steps and stays."""
    notify = {"watchdog": watchdog}
    return rig.spawn(slot, sys.executable, "-S", SPEAKER, *steps, "stay", notify=notify)


def heard(started: Started, words: str) -> None:
    """Wait until a service wrote something."""
    until(lambda: words in started.output, message=f"{words} in {started.output!r}")


def fds_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def address_of(rig: Rig, started: Started) -> str:
    return "\0" + str(rig.notice(started)["address"])


def test_a_service_says_what_it_is_about(rig: Rig) -> None:
    web = speak(rig, "web-0", "say READY=1\\nSTATUS=at your service", watchdog=5_000_000_000)
    said = rig.says(web, ready=True)["notice"]
    assert said["status"] == "at your service"
    assert said["watchdog"] == 5_000_000_000
    assert said["at"] > 0


def test_a_service_finds_the_watchdog_in_its_environment(rig: Rig) -> None:
    names = ("WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "NOTIFY_SOCKET")
    web = speak(rig, "web-0", *(f"show {name}" for name in names), watchdog=2_000_000_000)
    heard(web, "NOTIFY_SOCKET=@weaver-notify/web-0/")
    assert f"WATCHDOG_USEC=2000000\nWATCHDOG_PID={web.pid}\nLISTEN_FDS=None" in web.output


def test_a_service_without_a_notify_socket_finds_none(rig: Rig) -> None:
    plain = rig.spawn_shell("plain-0", "env | grep -c NOTIFY_SOCKET; echo up; exec sleep 60")
    assert plain.output == "0\nup\n"


@needs_systemd
def test_systemd_notify_is_understood(rig: Rig) -> None:
    """It waits for its barrier, which is answered while no daemon is there as well."""
    go = rig.root / "go"
    web = speak(
        rig,
        "web-0",
        "run systemd-notify --ready --status='real thing'",
        f"wait {go}",
        "run timeout 4 systemd-notify --status=alone",
    )
    rig.says(web, ready=True, status="real thing")
    rig.sock.close()
    go.touch()
    until(lambda: web.output.count("ran 0") == 2, message=web.output)
    rig.connect()
    assert rig.notice(web)["status"] == "alone"


def test_the_last_word_of_each_kind_counts_while_the_daemon_is_away(rig: Rig) -> None:
    """T9, V10: ten thousand datagrams block nobody, and none is kept."""
    go = rig.root / "go"
    web = speak(rig, "web-0", "say READY=1", f"wait {go}", "flood 10000", "barrier 4")
    rig.says(web, ready=True)
    before = fds_of(rig.holder_pid)
    rig.sock.close()
    go.touch()
    heard(web, "heard")
    rig.connect()
    notice = rig.notice(web)
    assert notice["status"] == "9999"
    assert notice["ready"]
    until(lambda: fds_of(rig.holder_pid) <= before, message="descriptors to be closed")


def test_the_last_words_of_a_process_are_told_before_its_end(rig: Rig) -> None:
    """They are said so fast after the first ones that it is too early to tell of them."""
    words = [f"say STATUS={number}" for number in range(20)]
    for _ in range(12):
        web = rig.spawn("web-0", sys.executable, "-S", SPEAKER, *words, "exit 3", notify={})
        rig.wait_for("empty", web)
        kinds = [event["event"] for event in rig.events if event.get("run") == web.run]
        assert kinds[-3:] == ["notified", "exited", "empty"]
        (*_, last) = [event for event in rig.events if event["event"] == "notified"]
        assert last["notice"]["status"] == "19"


def test_v10_hostile_datagrams_are_harmless(rig: Rig) -> None:
    """V10: zero length, binary, oversized, senseless, each with sixty descriptors."""
    web = speak(rig, "web-0", "say READY=1", "abuse 20", "barrier 4", "say STATUS=still here")
    said = rig.says(web, status="still here")["notice"]
    heard(web, "heard")
    assert said["ready"]
    assert {name: said.get(name) for name in ("errno", "stopping", "failed")} == {
        "errno": None,
        "stopping": None,
        "failed": None,
    }
    assert rig.runs()[web.run]["pid"] == web.pid
    assert fds_of(rig.holder_pid) < 60


def test_what_a_foreign_process_says_is_dropped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    web = speak(rig, "web-0", "say STATUS=mine")
    rig.says(web, status="mine")
    monkeypatch.setattr(speaker, "ADDRESS", address_of(rig, web))
    null = os.open(os.devnull, os.O_RDONLY)
    before = fds_of(rig.holder_pid)
    speaker.send(b"READY=1\nSTATUS=theirs", [null])
    speaker.send(b"FDSTORE=1", [null])
    os.close(null)
    read, write = os.pipe()
    speaker.send(b"BARRIER=1", [write])
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)
    assert rig.notice(web)["status"] == "mine"
    assert fds_of(rig.holder_pid) == before
    assert f"drops what process {os.getpid()} says" in (rig.state / "holder.log").read_text()


def test_every_process_of_a_slot_may_speak(rig: Rig) -> None:
    command = f"setsid {sys.executable} -S {SPEAKER} 'say STATUS=from afar'"
    web = speak(rig, "web-0", f"run {command}")
    rig.says(web, status="from afar")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_service_of_another_user_is_heard(rig: Rig) -> None:
    """The state folder is for its owner alone; the socket must be reachable all the same."""
    web = rig.spawn(
        "web-0",
        "/bin/sh",
        "-c",
        "command -v systemd-notify >/dev/null || exit 3; systemd-notify STATUS=other; sleep 60",
        notify={"watchdog": 0},
        identity={"user": "nobody"},
        cwd="/",
        stdout=str(rig.root / "web.log"),
    )
    rig.says(web, status="other")


def test_another_process_of_the_slot_may_become_the_main_one(rig: Rig) -> None:
    """It ends with a code of its own, after the one that started it has long gone."""
    go = rig.root / "go"
    steps = f"fork say MAINPID=SELF\\nREADY=1;say STATUS=child;wait {go};exit 7"
    web = rig.spawn(
        "web-0", sys.executable, "-S", SPEAKER, steps, "barrier 4", f"wait {go}.not", notify={}
    )
    moved = rig.says(web, status="child")
    assert moved["pid"] != web.pid
    os.kill(web.pid, signal.SIGKILL)
    until(lambda: tree.find(web.pid) is None, message="the end of the first process")
    assert rig.runs()[web.run]["exit"] is None
    go.touch()
    exited = rig.wait_for("exited", web)
    assert (exited["code"], exited["pid"]) == (7, moved["pid"])
    rig.wait_for("empty", web)


def test_v4_no_foreign_process_becomes_the_main_one(rig: Rig) -> None:
    web = speak(rig, "web-0", f"say MAINPID={os.getpid()}", "say MAINPID=1\\nSTATUS=done")
    rig.says(web, status="done")
    assert rig.runs()[web.run]["pid"] == web.pid


def test_stored_descriptors_come_back_at_the_next_start(rig: Rig) -> None:
    web = speak(rig, "web-0", "store main", "store-pipe gone", "barrier 4", "say READY=1")
    rig.says(web, ready=True)
    port = web.output.split()[1]
    rig.signal(web, signal.SIGKILL, "tree")
    rig.wait_for("empty", web)
    again = speak(rig, "web-0", "check", "show LISTEN_PID", "say FDSTOREREMOVE=1\\nFDNAME=main")
    heard(again, f"back main {port}\nLISTEN_PID={again.pid}")
    rig.wait_until(lambda event: event["event"] == "unkept" and event["number"] == 1)
    rig.signal(again, signal.SIGKILL, "tree")
    rig.wait_for("empty", again)
    heard(speak(rig, "web-0", "show LISTEN_FDS"), "LISTEN_FDS=None")


def test_a_slot_that_nobody_wants_any_more_keeps_nothing(rig: Rig) -> None:
    web = speak(rig, "web-0", "store main", "barrier 4", "say READY=1")
    rig.says(web, ready=True)
    before = fds_of(rig.holder_pid)
    identity = {"run": web.run, "pid": web.pid, "born": web.born}
    rig.ask("signal", **identity, signal=signal.SIGTERM, scope="main", release=True)
    rig.wait_for("empty", web)
    until(lambda: fds_of(rig.holder_pid) <= before - 2, message="both to be closed")


def test_what_is_kept_for_a_slot_without_a_process_is_let_go_at_once(rig: Rig) -> None:
    """One whose process lives keeps it until that ends."""
    web = speak(rig, "web-0", "store main", "barrier 4", "say READY=1")
    rig.says(web, ready=True)
    rig.signal(web, signal.SIGKILL, "tree")
    rig.wait_for("empty", web)
    before = fds_of(rig.holder_pid)
    rig.ask("release", slot="web-0")
    rig.wait_until(lambda event: event["event"] == "unkept" and event["number"] == 0)
    assert fds_of(rig.holder_pid) <= before - 2
    again = speak(rig, "web-0", "show LISTEN_FDS", "say READY=1")
    heard(again, "LISTEN_FDS=None")
    rig.says(again, ready=True)
    rig.ask("release", slot="web-0")
    held = fds_of(rig.holder_pid)
    rig.signal(again, signal.SIGKILL, "tree")
    rig.wait_for("empty", again)
    until(lambda: fds_of(rig.holder_pid) < held)
    rig.ask("release", slot="nobody-0")


def test_sockets_and_stored_descriptors_survive_the_holder(rig: Rig) -> None:
    """Whoever keeps duplicates gives them to the next holder; what was said meanwhile waits."""
    go = rig.root / "go"
    web = speak(rig, "web-0", "store main", "say READY=1", f"wait {go}", "say STATUS=meanwhile")
    rig.says(web, ready=True)
    port = web.output.split()[1]
    rig.wait_until(lambda event: event["event"] == "kept" and event["what"] == "fd")
    rig.kill_holder()
    kept, rig.fds = rig.fds, []
    go.touch()
    rig.start()
    assert rig.notice(web)["ready"]
    for event, fd in kept:
        told = {name: event[name] for name in event if name not in ("event", "number")}
        rig.ask("keep", fds=[fd], **told)
        os.close(fd)
    rig.says(web, status="meanwhile")
    rig.signal(web, signal.SIGKILL, "tree")
    rig.wait_for("empty", web)
    heard(speak(rig, "web-0", "check"), f"back main {port}")


async def written(path: Path) -> str:
    """Wait until a service has written a line to a file, and give it."""

    def lines() -> list[str]:
        return path.read_text().splitlines() if path.exists() else []

    return (await until_async(lines))[0]


@with_desk
async def test_what_waits_for_the_next_holder_is_heard_by_one_that_has_all_of_before(
    desk: Desk,
) -> None:
    """A descriptor that is to go was not given back yet, and stayed."""
    go, stored, removed, given = (desk.root / f"{n}.txt" for n in range(4))
    web = ServiceSpec(
        name=ServiceName("web"), digest=Digest("d1"), type=ServiceType.NOTIFY, cwd=str(desk.root)
    )
    program = (sys.executable, "-S", SPEAKER)
    kept = (*(f"store {name}" for name in "abcdefgh"), "barrier 4", f"run echo yes >{stored}")
    last = (f"wait {go}", "say FDSTOREREMOVE=1\\nFDNAME=h", f"run echo yes >{removed}", "stay")
    begun = await desk.spawn("web", *program, *kept, *last, spec=web)
    assert isinstance(begun, Spawned)
    assert await written(stored) == "yes"
    await desk.kill_holder()
    await asyncio.to_thread(go.touch)
    assert await written(removed) == "yes"
    assert (await desk.look())[begun.process.run].is_live
    await desk.signal(begun.process, "SIGKILL", Scope.TREE)
    await desk.heard(TreeEmptied, begun.process)
    await desk.spawn("web", *program, f"run echo $LISTEN_FDNAMES >{given}", "stay", spec=web)
    assert await written(given) == "a:b:c:d:e:f:g"


def test_a_door_comes_back_with_as_much_as_can_be_stored_behind_it(rig: Rig) -> None:
    web = speak(rig, "web-0", *["store main"] * wire.STORED_MOST, "barrier 4", "say READY=1")
    rig.says(web, ready=True)
    rig.kill_holder()
    kept, rig.fds = rig.fds, []
    rig.start()
    [door, *behind] = (event for event, _ in kept)
    assert "error" not in rig.ask("keep", fds=[fd for _, fd in kept], **door, stored=behind)
    wire.close_all(fd for _, fd in kept)
    rig.signal(web, signal.SIGKILL, "tree")
    rig.wait_for("empty", web)
    heard(speak(rig, "web-0", "show LISTEN_FDS"), f"LISTEN_FDS={wire.STORED_MOST}\n")


def test_a_holder_after_which_nobody_was_left_binds_the_same_address(rig: Rig) -> None:
    go = rig.root / "go"
    web = speak(rig, "web-0", "say READY=1", f"wait {go}", "say STATUS=heard again")
    rig.says(web, ready=True)
    rig.kill_holder()
    rig.close_kept()
    rig.start()
    go.touch()
    rig.says(web, status="heard again", ready=True)


def test_an_old_daemon_is_told_nothing_of_notices(rig: Rig) -> None:
    rig.ask("hello", proto=1, version="old")
    seen = len(rig.events)
    web = speak(rig, "web-0", "say READY=1", "barrier 4")
    heard(web, "heard")
    rig.ask("list")
    assert [event["event"] for event in rig.events[seen:]] == []


def test_a_socket_that_somebody_else_has_is_no_obstacle(rig: Rig) -> None:
    """Both died, and a stranger took the address: the service runs on, unheard."""
    web = speak(rig, "web-0", "say READY=1")
    address = address_of(rig, web)
    rig.says(web, ready=True)
    rig.kill_holder()
    rig.close_kept()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as squatter:
        squatter.bind(address)
        rig.start()
        assert rig.notice(web)["ready"]
        assert web.is_alive


def test_sockets_and_stored_descriptors_outlive_an_upgrade_of_the_holder(
    rig: Rig, tmp_path: Path
) -> None:
    """Another process is the main one by then, and its end is seen all the same."""
    go = rig.root / "go"
    steps = f"fork say MAINPID=SELF\\nREADY=1;wait {go};say STATUS=after;wait {go}.end;exit 7"
    web = speak(rig, "web-0", "store main", steps)
    moved = rig.says(web, ready=True)
    port = web.output.split()[1]
    assert "error" not in rig.ask("reexec", program=installation(tmp_path / "next", "99.0.0"))
    go.touch()
    assert rig.says(web, status="after", ready=True)["pid"] == moved["pid"]
    Path(f"{go}.end").touch()
    os.kill(web.pid, signal.SIGKILL)
    assert rig.wait_for("exited", web)["code"] == 7
    rig.wait_for("empty", web)
    heard(speak(rig, "web-0", "check"), f"back main {port}")
