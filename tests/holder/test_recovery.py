"""What a holder does with what another one left behind, and with attacks on its records."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.holder import tree, wire
from tests.holder.rig import KERNEL_TELLS, Message, Rig
from tests.settings import in_every_setting, without_a_leaf
from tests.waiting import until

pytestmark = pytest.mark.real

PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
"""One that other users may execute as well, where there is one."""
MAYBE_UNKNOWN = () if KERNEL_TELLS else ("unknown",)
"""An older kernel tells only if asked before the process is reaped."""


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that is none of the holder's business, and in a session of its own."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


def write_journal(rig: Rig, entries: list[Message], boot: str | None = None) -> None:
    """Craft the journal of a holder that was killed."""
    head = {"is": "journal", "boot": boot or tree.boot_id(), "seq": 40, "acked": 40}
    rig.state.mkdir(mode=0o700, exist_ok=True)
    (rig.state / "holder").mkdir(mode=0o700, exist_ok=True)
    lines = [json.dumps(entry) for entry in [head, *entries]]
    (rig.state / "holder" / "journal").write_text("\n".join(lines) + "\n")


def how(exit_: Message) -> int | str:
    """Give the signal of an end; a zombie's is in /proc until its new parent reaps it."""
    number: int | None = exit_["signal"]
    assert exit_["unknown"] == (number is None)
    return number or "unknown"


def spawning(run: str) -> Message:
    return {"is": "spawning", "run": run, "slot": "web-0", "tag": {"digest": "d"}, "at": 1}


def spawned(run: str, pid: int, born: int) -> Message:
    return {"is": "spawned", "run": run, "pid": pid, "born": born, "seen": 1}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Rig]:
    """Give a rig whose holder was not started yet."""
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def born_of(pid: int) -> int:
    process = tree.find(pid)
    assert process is not None
    return process.born


@in_every_setting
def test_services_live_on_when_the_holder_is_killed_and_the_next_one_adopts_them(rig: Rig) -> None:
    started = [rig.spawn(f"s-{n}", "sleep", "1000") for n in range(20)]
    rig.restart_holder()
    runs = rig.runs()
    assert {run: (it["pid"], it["born"], it["exit"]) for run, it in runs.items()} == {
        one.run: (one.pid, one.born, None) for one in started
    }
    assert all(one.is_alive for one in started)
    assert runs[started[0].run]["tag"] == {"digest": "d1"}


@in_every_setting
def test_the_end_of_an_adopted_service_is_noticed_with_its_code(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    rig.restart_holder()
    assert rig.signal(started, signal.SIGTERM)["reached"] == 1
    told = rig.wait_for("exited", started)
    assert how(told) in (signal.SIGTERM, *MAYBE_UNKNOWN)
    rig.wait_for("empty", started)
    assert rig.spawn("web-0", "true").pid


@in_every_setting
def test_what_ended_while_no_holder_lived_is_told_once_by_the_next_one(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    rig.kill_holder()
    os.kill(started.pid, signal.SIGKILL)
    until(lambda: not started.is_alive)
    rig.start()
    until(lambda: rig.runs()[started.run]["empty"])
    run = rig.runs()[started.run]
    assert how(run["exit"]) in (signal.SIGKILL, "unknown")
    rig.ask("ack", seq=run["exit"]["seq"] + 1)
    assert not rig.runs()


@in_every_setting
def test_the_tree_of_an_adopted_service_is_killed_whole(rig: Rig) -> None:
    away, wiped = "setsid sh -c 'echo up; exec sleep 1000'", "env -i /bin/sleep 1000"
    started = rig.spawn_shell("web-0", f"({away} &); {wiped} & echo up; wait", ups=2)
    rig.restart_holder()
    os.kill(started.pid, signal.SIGKILL)
    rig.wait_for("exited", started)
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] == 2
    journal = (rig.state / "holder" / "journal").read_text()
    assert '"is":"doomed"' in journal, "for the next one, if this one dies before it has done it"
    rig.wait_for("empty", started)


@in_every_setting
def test_what_its_leader_started_late_and_left_behind_is_still_known_to_the_next_holder(
    rig: Rig,
) -> None:
    """It carries no mark: only that it is in the session tells whose it is."""
    started = rig.spawn_shell("web-0", "sleep 0.05; env -i /bin/sleep 1000 & echo up; exit 0")
    rig.wait_for("exited", started)
    rig.restart_holder()
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    until(lambda: str(rig.signal(started, 0, "tree").get("reached")) == "1")
    rig.signal(started, signal.SIGKILL, "tree")
    rig.wait_for("empty", started)


@in_every_setting
def test_v13_exit_codes_and_numbers_of_events_outlive_holder_and_daemon(rig: Rig) -> None:
    first = rig.spawn("a-0", "sh", "-c", "exit 42")
    rig.wait_for("empty", first)
    second = rig.spawn("b-0", "sleep", "1000")
    rig.restart_holder()
    exit_ = rig.runs()[first.run]["exit"]
    assert (exit_["code"], exit_["seq"], rig.runs()[first.run]["empty"]) == (42, 1, True)
    rig.signal(second, signal.SIGKILL)
    assert rig.wait_for("exited", second)["seq"] == 3


def test_acknowledged_ends_are_forgotten_and_others_are_not(rig: Rig) -> None:
    first, second = rig.spawn("a-0", "true"), rig.spawn("b-0", "true")
    last_of_first = rig.wait_for("empty", first)["seq"]
    last = rig.wait_for("empty", second)["seq"]
    rig.ask("ack", seq=min(last_of_first, last))
    rig.restart_holder()
    assert len(rig.runs()) == 1
    rig.ask("ack", seq=max(last_of_first, last))
    rig.restart_holder()
    assert not rig.runs()


@in_every_setting
def test_sigterm_makes_the_holder_leave_and_its_services_stay(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    rig.kill_holder(signal.SIGTERM)
    rig.start()
    assert rig.runs()[started.run]["pid"] == started.pid
    assert started.is_alive


def test_signals_of_a_terminal_do_not_reach_the_holder(rig: Rig) -> None:
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGPIPE", "SIGUSR1", "SIGUSR2"):
        os.kill(rig.holder_pid, getattr(signal, name))
    assert rig.connect()["pid"] == rig.holder_pid


def test_p4_a_start_that_was_cut_off_before_its_record_is_found_by_its_mark(fresh: Rig) -> None:
    run = "cutoff0"
    environment = {"WEAVER_RUN": run, "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True) as orphan:
        write_journal(fresh, [spawning(run)])
        fresh.start()
        found = fresh.runs()[run]
        assert (found["pid"], found["born"], found["exit"]) == (
            orphan.pid,
            born_of(orphan.pid),
            None,
        )
        orphan.kill()
        orphan.wait()
    fresh.wait_until(lambda event: event["event"] == "empty" and event["run"] == run)


def test_p4_a_kill_of_a_tree_that_was_cut_off_is_done_to_its_end_by_the_next_holder(
    fresh: Rig,
) -> None:
    """Its main process is gone and on record; another one is in a session of its own."""
    entries = [spawning("r1"), spawned("r1", 2**22, 1), {"is": "doomed", "run": "r1"}]
    verdict = {"code": None, "signal": 9, "core": False, "unknown": False}
    entries.append({"is": "exited", "run": "r1", "seq": 41, "at": 1} | verdict)
    environment = {"WEAVER_RUN": "r1", "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True) as left:
        write_journal(fresh, entries)
        fresh.start()
        assert left.wait(10) == -signal.SIGKILL
    until(lambda: fresh.runs()["r1"]["empty"])


def test_a_start_that_left_no_trace_is_over(fresh: Rig) -> None:
    write_journal(fresh, [spawning("cutoff1")])
    fresh.start()
    until(lambda: fresh.runs()["cutoff1"]["empty"])
    run = fresh.runs()["cutoff1"]
    assert (run["pid"], run["exit"]["unknown"], run["exit"]["seq"]) == (None, True, 41)


def test_after_a_reboot_nothing_is_adopted_by_its_pid(
    fresh: Rig, stranger: subprocess.Popen[bytes]
) -> None:
    known = spawned("r1", stranger.pid, born_of(stranger.pid))
    write_journal(fresh, [spawning("r1"), known], boot="another-boot")
    fresh.start()
    until(lambda: fresh.runs()["r1"]["empty"])
    run = fresh.runs()["r1"]
    assert (run["pid"], run["exit"]["unknown"]) == (None, True)
    answer = fresh.ask("signal", run="r1", pid=stranger.pid, born=0, signal=9, scope="tree")
    assert answer["error"]["errno"] == errno.ESRCH
    assert stranger.poll() is None


@pytest.mark.parametrize("scope", ["main", "group", "tree"])
def test_a_stranger_with_a_reused_pid_is_never_signalled(
    fresh: Rig, stranger: subprocess.Popen[bytes], scope: str
) -> None:
    born = born_of(stranger.pid) - 1
    write_journal(fresh, [spawning("r1"), spawned("r1", stranger.pid, born)])
    fresh.start()
    until(lambda: fresh.runs()["r1"]["empty"])
    identity = {"run": "r1", "pid": stranger.pid, "born": born}
    answer = fresh.ask("signal", **identity, signal=signal.SIGKILL, scope=scope)
    assert answer["error"]["errno"] == errno.ESRCH
    assert stranger.poll() is None


def test_a_record_that_names_a_zombie_is_over(fresh: Rig) -> None:
    """Nobody reaps it here, as under a PID 1 that does not, so /proc tells how it ended."""
    with subprocess.Popen(["sh", "-c", "exit 3"], start_new_session=True) as zombie:
        until(lambda: (found := tree.find(zombie.pid)) is not None and found.is_dead)
        write_journal(fresh, [spawning("r1"), spawned("r1", zombie.pid, born_of(zombie.pid))])
        fresh.start()
        until(lambda: fresh.runs()["r1"]["empty"])
        assert fresh.runs()["r1"]["exit"]["code"] == 3


@without_a_leaf
def test_a_zombie_that_nobody_reaps_does_not_keep_a_tree(rig: Rig) -> None:
    """Its parent is outside of the tree: it has left the session and dropped the mark."""
    parent = "sleep 0.05 & echo zombie $!; exec env -i setsid sleep 1000"
    has_left = 'until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done'
    started = rig.spawn_shell("web-0", f"({parent}) & echo parent $!; {has_left}; echo up; exit 0")
    rig.wait_for("empty", started)
    words = started.output.split()
    pids = {name: int(words[words.index(name) + 1]) for name in ("zombie", "parent")}
    zombie = tree.find(pids["zombie"])
    assert zombie is not None
    assert (zombie.is_dead, zombie.session) == (True, started.pid)
    os.kill(pids["parent"], signal.SIGKILL)


@in_every_setting
def test_a_process_whose_main_thread_ended_still_lives(rig: Rig) -> None:
    script = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
        "print('up', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    started = rig.spawn("web-0", PYTHON, "-c", script)
    until(lambda: "State:\tZ" in Path(f"/proc/{started.pid}/status").read_text())
    rig.restart_holder()
    assert rig.runs()[started.run]["exit"] is None
    assert started.is_alive


def test_a_garbled_journal_costs_only_its_garbled_lines(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    rig.kill_holder()
    journal = rig.state / "holder" / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"\0garbage\n" + b"[]\n" + b"".join(lines[1:]) + b'{"is": "spaw')
    rig.start()
    run = rig.runs()[started.run]
    assert (run["pid"], run["born"], run["exit"]) == (started.pid, started.born, None)
    assert "2 lines" in (rig.state / "holder.log").read_text()


@in_every_setting
def test_a_deleted_state_folder_stops_nothing_and_is_made_again(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    shutil.rmtree(rig.state)
    assert rig.launch().returncode == 3, "the directory is still held"
    assert rig.runs()[started.run]["pid"] == started.pid
    assert (rig.state.stat().st_mode & 0o777, started.is_alive) == (0o700, True)
    rig.restart_holder()
    assert rig.runs()[started.run]["pid"] == started.pid


def test_a_start_after_the_state_folder_was_deleted_is_on_record(rig: Rig) -> None:
    shutil.rmtree(rig.state)
    started = rig.spawn("web-0", "sleep", "1000")
    rig.restart_holder()
    assert rig.runs()[started.run]["pid"] == started.pid


@in_every_setting
def test_a_run_of_a_lost_journal_is_taken_over_from_the_daemon(rig: Rig) -> None:
    # So long an entry is too long to be found by.
    started = rig.spawn("web-0", "sleep", "1000", tag="x" * 100_000)
    ended = rig.spawn("web-1", "sleep", "1000")
    rig.kill_holder()
    shutil.rmtree(rig.state)
    os.kill(ended.pid, signal.SIGKILL)
    until(lambda: not ended.is_alive)
    rig.start()
    assert not rig.runs()
    for one in (started, ended):
        known = {"slot": one.slot, "run": one.run, "pid": one.pid, "born": one.born}
        assert "error" not in rig.ask("adopt", **known, at=tree.now(), tag={"digest": "d1"})
    assert rig.runs()[started.run]["exit"] is None
    assert how(rig.wait_for("exited", ended)) in (signal.SIGKILL, "unknown")
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    assert rig.signal(started, signal.SIGKILL)["reached"] == 1
    rig.wait_for("empty", started)


def test_a_full_disk_stops_nothing_is_told_and_heals(rig: Rig) -> None:
    before = rig.spawn("web-0", "sleep", "1000")
    journal = rig.state / "holder" / "journal"
    _, hard = resource.prlimit(rig.holder_pid, resource.RLIMIT_FSIZE)
    resource.prlimit(rig.holder_pid, resource.RLIMIT_FSIZE, (journal.stat().st_size + 9, hard))
    during = rig.spawn("web-1", "sleep", "1000")
    assert "File too large" in rig.wait_until(lambda event: event["event"] == "trouble")["text"]
    rig.signal(before, signal.SIGKILL)
    rig.wait_for("empty", before)
    resource.prlimit(rig.holder_pid, resource.RLIMIT_FSIZE, (hard, hard))
    rig.wait_until(lambda event: event["event"] == "trouble" and not event["text"])
    assert not [*journal.parent.glob("*.new")]
    rig.restart_holder()
    runs = rig.runs()
    assert runs[during.run]["pid"] == during.pid
    assert runs[before.run]["exit"]["signal"] == signal.SIGKILL


def test_the_journal_does_not_grow_for_ever(rig: Rig) -> None:
    for _ in range(10):
        tag = "x" * 200_000
        started = rig.spawn("web-0", "true", tag=tag)
        seq = rig.wait_for("empty", started)["seq"]
        rig.ask("ack", seq=seq)
    assert (rig.state / "holder" / "journal").stat().st_size < 1_500_000
    rig.restart_holder()
    assert not rig.runs()


def test_a_second_holder_of_a_directory_is_refused(rig: Rig) -> None:
    launched = rig.launch()
    assert (launched.returncode, launched.stdout) == (3, "")
    assert "holder already" in launched.stderr
    alias = rig.root / "alias"
    alias.symlink_to(rig.directory)
    assert rig.launch(str(alias), str(rig.root / "other-state")).returncode == 3


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_state_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    rig = Rig(tmp_path)
    rig.state.mkdir()
    rig.state.chmod(mode)
    launched = rig.launch()
    assert launched.returncode == 1
    assert "chmod 700" in launched.stderr


def test_the_holder_keeps_nothing_of_its_caller_open(rig: Rig) -> None:
    fds = Path(f"/proc/{rig.holder_pid}/fd")
    targets = {str(fd.readlink()) for fd in fds.iterdir()}
    known = ("oom_score", "/weaver-")
    files = {one for one in targets if one[0] == "/" and not any(word in one for word in known)}
    assert files == {"/dev/null", str(rig.state / "holder" / "journal")}
    assert Path(f"/proc/{rig.holder_pid}/comm").read_text() == "weaver-holder\n"
    assert Path(f"/proc/{rig.holder_pid}/environ").read_bytes() == b""


def test_a_newer_daemon_replaces_an_older_one(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    with rig.open_socket() as newer:
        wire.send(newer, {"do": "hello", "serial": 1, "proto": wire.PROTO, "version": "newer"})
        assert wire.receive(rig.sock) is None
        os.kill(started.pid, signal.SIGKILL)
        answer, event = wire.receive(newer), wire.receive(newer)
    assert answer is not None
    assert event is not None
    assert (answer[0]["answer"], event[0]["event"]) == (1, "exited")


@pytest.mark.parametrize(
    "packet",
    [b"\0", b"[]", b"7", b'"text"', b"[" * 60_000, b"{" * 10, b'{"do": "spawn"}', b'{"do": []}'],
)
def test_a_peer_that_talks_nonsense_harms_nobody(rig: Rig, packet: bytes) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    with rig.open_socket() as rude:
        rude.send(packet)
        while (received := wire.receive(rude)) is not None:
            assert received[0]["error"]["errno"] in (errno.EPERM, errno.EINVAL)
            break
    assert rig.runs()[started.run]["pid"] == started.pid


@pytest.mark.parametrize(
    "order",
    [
        {"do": "spawn"},
        {
            "do": "spawn",
            "slot": "a",
            "run": "r",
            "argv": 7,
            "env": {"WEAVER_RUN": "r"},
            "cwd": "/",
            "stdout": 5,
            "stderr": None,
            "tag": None,
        },
        {"do": "signal", "run": "r", "pid": "x", "born": [], "signal": "TERM", "scope": "all"},
        {"do": "signal", "run": []},
        {"do": "ack", "seq": "many"},
        {"do": "dance"},
        {"do": "hello", "proto": 999},
    ],
)
def test_a_request_that_makes_no_sense_is_answered_with_an_error(rig: Rig, order: Message) -> None:
    answer = rig.ask(**order)
    assert answer["error"]["errno"] in (errno.EINVAL, errno.ESRCH, errno.EPROTO)
    assert rig.spawn("web-0", "true").pid


def test_nobody_gives_orders_without_a_hello(rig: Rig) -> None:
    with rig.open_socket() as peer:
        wire.send(peer, {"do": "shutdown", "serial": 1})
        received = wire.receive(peer)
        assert received is not None
        assert received[0]["error"]["errno"] == errno.EPERM
    assert rig.runs() == {}


def test_crowds_of_peers_are_turned_away(rig: Rig) -> None:
    crowd = [rig.open_socket() for _ in range(15)]
    with rig.open_socket() as late:
        assert wire.receive(late) is None
    for peer in crowd:
        peer.close()
    assert rig.runs() == {}


def test_shutdown_is_refused_while_something_runs(rig: Rig) -> None:
    started = rig.spawn("web-0", "sleep", "1000")
    assert rig.ask("shutdown")["error"]["errno"] == errno.EBUSY
    rig.signal(started, signal.SIGKILL)
    rig.wait_for("empty", started)
    assert "error" not in rig.ask("shutdown")
    assert wire.receive(rig.sock) is None
    until(lambda: not rig.is_held)


def test_a_daemon_that_does_not_read_misses_nothing(rig: Rig) -> None:
    long = "x" * 2000
    runs = [rig.spawn(f"s-{n}", "sleep", "1000", tag=long) for n in range(20)]
    for serial in range(40):
        wire.send(rig.sock, {"do": "list", "serial": serial})
    for run in runs:
        os.kill(run.pid, signal.SIGKILL)
    answers: list[Message] = []
    while len(answers) < 40:
        message = wire.receive(rig.sock)
        assert message is not None
        (answers if "answer" in message[0] else rig.events).append(message[0])
    assert [answer["answer"] for answer in answers] == list(range(40))
    for run in runs:
        rig.wait_for("empty", run)
    assert [event["seq"] for event in rig.events] == list(range(1, 41))


def test_long_answers_wait_for_a_daemon_that_reads_late(rig: Rig) -> None:
    for number in range(20):
        rig.spawn(f"s-{number}", "sleep", "1000", tag="x" * 2000)
    for count in range(1, 16):
        for serial in range(count):
            wire.send(rig.sock, {"do": "list", "serial": serial})
        # The last one is answered when the others fill the buffer between us.
        until(lambda: is_asleep(rig.holder_pid))
        answers = [wire.receive(rig.sock) for _ in range(count)]
        assert [answer and answer[0]["answer"] for answer in answers] == list(range(count))


def is_asleep(pid: int) -> bool:
    return "State:\tS" in Path(f"/proc/{pid}/status").read_text()
