"""Who a service is and what it may use, as /proc shows it of a real one."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import settings
from tests.holder.rig import Message, Rig, Started
from tests.holder.test_services import FAILURES, write_unfit_programs
from tests.waiting import until

pytestmark = pytest.mark.real

NOBODY = pwd.getpwnam("nobody")
WHO = {"uid": NOBODY.pw_uid, "gid": NOBODY.pw_gid, "groups": [NOBODY.pw_gid, 4]}
FORK: Message = {"identity": {"umask": 0o022}}
"""An identity that asks for nothing but the slow way."""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def open_rig() -> Iterator[Rig]:
    """Give a holder whose folder other users may enter."""
    with settings.open_place() as root:
        rig = Rig(root)
        rig.start()
        yield rig
        rig.close()


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): (line[26:47].strip(), line[47:68].strip()) for line in lines}


def refusal(rig: Rig, *argv: str, **changes: Any) -> Message:
    answer = rig.try_spawn("web-0", argv or ("true",), **changes)
    assert "error" in answer, answer
    assert not rig.runs(), "a start that failed leaves the slot free"
    error: Message = answer["error"]
    return error


@pytest.mark.parametrize("rig", ["v2", "none"], indirect=True)
def test_both_ways_to_start_tell_the_same_failures_apart(rig: Rig) -> None:
    write_unfit_programs(rig.root)
    for case in FAILURES:
        argv, changes, step, number = case.values
        assert isinstance(argv, list)
        assert isinstance(changes, dict)
        fast = rig.try_spawn("web-0", argv, **changes)["error"]
        slow = rig.try_spawn("web-0", argv, **{**changes, **FORK})["error"]
        assert (slow["step"], slow["errno"]) == (step, number), (case.id, slow)
        assert slow["text"] == fast["text"], case.id


def test_a_program_that_exits_127_has_started(rig: Rig) -> None:
    started = rig.spawn("web-0", "sh", "-c", "exit 127", **FORK)
    assert rig.wait_for("exited", started)["code"] == 127


@root_only
def test_i20_a_service_is_exactly_who_its_manifest_says(rig: Rig) -> None:
    identity = {
        **WHO,
        "umask": 0o027,
        "nice": 7,
        "noNewPrivileges": True,
        "limits": {"nofile": [100, 200], "core": [0, 0], "stack": [1 << 20, None]},
    }
    started = rig.spawn("web-0", "sleep", "1000", identity=identity, cwd="/")
    plain = rig.spawn("plain-0", "sleep", "1000", cwd="/")
    status, limits = status_of(started.pid), limits_of(started.pid)
    assert status["Uid"].split() == [str(WHO["uid"])] * 4
    assert status["Gid"].split() == [str(WHO["gid"])] * 4
    assert status["Groups"].split() == sorted({"4", str(WHO["gid"])}, key=int)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (status["Umask"], status["NoNewPrivs"]) == ("0027", "1")
    assert os.getpriority(os.PRIO_PROCESS, started.pid) == 7
    usual = limits_of(plain.pid)
    assert limits == usual | {
        "Max open files": ("100", "200"),
        "Max core file size": ("0", "0"),
        "Max stack size": (str(1 << 20), usual["Max stack size"][1]),
    }
    # Two signals are the C library's own: nobody can reset what a service inherits of them.
    signals = [int(status[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")]
    assert [mask & ~(1 << 31 | 1 << 32) for mask in signals] == [0, 0, 0]
    assert descriptors_of(started) == {
        0: Path("/dev/null"),
        1: started.log,
        2: started.log,
    }
    environment = Path(f"/proc/{started.pid}/environ").read_bytes().split(b"\0")
    names = {word.partition(b"=")[0] for word in environment if word}
    assert names == {b"PATH", b"WEAVER_RUN", b"WEAVER_ENTRY"}
    assert (
        Path(f"/proc/{started.pid}/oom_score_adj").read_text()
        == Path(f"/proc/{plain.pid}/oom_score_adj").read_text()
    )


def descriptors_of(started: Started) -> dict[int, Path]:
    folder = Path(f"/proc/{started.pid}/fd")
    return {int(link.name): link.readlink() for link in folder.iterdir()}


def test_s10_a_service_gets_its_streams_and_nothing_that_the_holder_has_open(
    rig: Rig,
) -> None:
    """The holder has its journal, its socket and a descriptor of every other service open."""
    others = [rig.spawn(f"other-{n}", "sleep", "1000") for n in range(3)]
    for number, way in enumerate(({}, FORK)):
        started = rig.spawn(f"web-{number}", "sleep", "1000", **way)
        assert sorted(descriptors_of(started)) == [0, 1, 2]
    assert all(other.is_alive for other in others)


@root_only
def test_a_service_of_another_user_opens_its_standard_output_anew(rig: Rig) -> None:
    script = (
        "echo one; echo two >> /dev/stdout; echo three >> /dev/stderr; echo 4 >> /proc/self/fd/1"
    )
    started = rig.spawn("web-0", "sh", "-c", f"id -u; {script}", identity=WHO, cwd="/")
    rig.wait_for("empty", started)
    assert started.output == f"{WHO['uid']}\none\ntwo\nthree\n4\n"
    found = started.log.stat()
    assert (found.st_uid, found.st_gid) == (WHO["uid"], WHO["gid"])
    folder = started.log.parent.stat()
    assert (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (0, 0o750)
    planting = rig.spawn("bad-0", "touch", f"{started.log.parent}/x", identity=WHO, cwd="/")
    assert rig.wait_for("exited", planting)["code"] == 1


@root_only
def test_l6_a_log_in_a_folder_of_the_users_own_is_opened_with_its_rights(open_rig: Rig) -> None:
    """Whoever owns the folder could put a link there to what is not theirs."""
    rig = open_rig
    theirs = rig.root / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
    secret = rig.root / "secret"
    secret.write_text("precious")
    secret.chmod(0o600)
    (theirs / "hard.log").hardlink_to(secret)
    (theirs / "soft.log").symlink_to(secret)
    (theirs / "deep").symlink_to(rig.root / "logs")
    way: Message = {"identity": WHO, "cwd": "/", "root": str(rig.directory)}
    for name, number in (("hard.log", errno.EACCES), ("soft.log", errno.ELOOP)):
        error = refusal(rig, "echo", "x", stdout=str(theirs / name), **way)
        assert (error["step"], error["errno"]) == ("log", number), error
    (rig.root / "logs").mkdir(mode=0o700)
    assert refusal(rig, "echo", "x", stdout=str(theirs / "deep" / "x.log"), **way)["errno"] == 13
    assert (secret.read_text(), secret.stat().st_uid) == ("precious", 0)
    own = rig.spawn("web-0", "echo", "x", stdout=str(theirs / "own.log"), **way)
    rig.wait_for("exited", own)
    assert (own.output, own.log.stat().st_uid) == ("x\n", NOBODY.pw_uid)


@root_only
def test_a_log_with_a_second_name_stays_whose_it_is(rig: Rig) -> None:
    (rig.root / "logs").mkdir()
    log = rig.root / "logs" / "web-0.log"
    log.write_text("")
    (rig.root / "other").hardlink_to(log)
    error = refusal(rig, "echo", "x", identity=WHO, cwd="/")
    assert (error["step"], error["errno"]) == ("log", errno.EMLINK)
    assert log.stat().st_uid == 0


@root_only
def test_y16_a_folder_or_program_closed_to_the_user_is_an_error_of_the_start(
    open_rig: Rig,
) -> None:
    rig = open_rig
    closed = rig.root / "closed"
    closed.mkdir(mode=0o700)
    (closed / "tool").write_text("#!/bin/sh\n")
    (closed / "tool").chmod(0o755)
    entering = refusal(rig, cwd=str(closed), identity=WHO)
    assert (entering["step"], entering["errno"]) == ("cwd", errno.EACCES)
    running = refusal(rig, str(closed / "tool"), cwd="/", identity=WHO)
    assert (running["step"], running["errno"]) == ("exec", errno.EACCES)
    reading = refusal(rig, cwd="/", identity=WHO, stdin=str(closed / "tool"))
    assert (reading["step"], reading["errno"]) == ("stdin", errno.EACCES)


def test_a_service_reads_the_file_that_it_gets_as_its_input(rig: Rig) -> None:
    (rig.root / "in").write_text("words\n")
    for number, way in enumerate(({}, FORK)):
        started = rig.spawn(f"web-{number}", "cat", stdin=str(rig.root / "in"), **way)
        rig.wait_for("exited", started)
        assert started.output == "words\n"
        error = refusal(rig, stdin=str(rig.root), **way) if not rig.runs() else None
        assert error is None or (error["step"], error["errno"]) == ("stdin", errno.EISDIR)


def test_a_limit_above_what_the_host_allows_is_an_error_that_names_it(rig: Rig) -> None:
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    error = refusal(rig, identity={"limits": {"nofile": [most + 1, most + 1]}})
    assert (error["step"], error["errno"]) == ("limits", errno.EPERM)
    assert f"limits.nofile to {most + 1}" in error["text"]


def test_r19_one_that_reaches_its_limit_of_a_files_size_suffers_alone(rig: Rig) -> None:
    """Its log is as full as it may be; the log of its neighbour goes on."""
    small: Message = {"identity": {"limits": {"fsize": [4096, 4096]}}}
    neighbour = rig.spawn_shell("near-0", "echo up; while read x; do :; done; exec sleep 1000")
    bad = rig.spawn("bad-0", "sh", "-c", "while echo 0123456789abcdef; do :; done", **small)
    told = rig.wait_for("exited", bad)
    assert told["signal"] == 25, "SIGXFSZ, which the holder itself ignores"
    assert bad.log.stat().st_size == 4096
    assert neighbour.is_alive
    again = rig.spawn("fine-0", "echo", "fine")
    rig.wait_for("exited", again)
    assert again.output == "fine\n"


def test_a_limit_too_small_for_a_python_does_not_hinder_the_start(rig: Rig) -> None:
    """The child has to come as far as exec, where it is a small program."""
    tight: Message = {"identity": {"limits": {"as": [8 << 20, 8 << 20], "nofile": [8, 8]}}}
    started = rig.spawn("web-0", "sleep", "1000", **tight)
    assert limits_of(started.pid)["Max address space"] == (str(8 << 20),) * 2
    until(lambda: started.is_alive)


@root_only
def test_r10_a_user_with_all_its_processes_is_a_start_that_failed(rig: Rig) -> None:
    rig.spawn("first-0", "sleep", "1000", cwd="/", identity=WHO)
    full: Message = {"identity": {**WHO, "limits": {"nproc": [0, 0]}}}
    error = rig.try_spawn("web-0", ["true"], cwd="/", **full)["error"]
    assert (error["step"], error["errno"]) == ("fork", errno.EAGAIN)
    assert "no room for a process" in error["text"]
    assert rig.spawn("web-0", "sleep", "1000", cwd="/", identity=WHO).is_alive


def let_have_processes(rig: Rig, most: str) -> None:
    """Let the holder's user have only so many: its own rights are enough for that."""
    words = ["prlimit", f"--pid={rig.holder_pid}", f"--nproc={most}:"]
    subprocess.run(settings.command("user", words), check=True)


@pytest.mark.parametrize("rig", ["user"], indirect=True)
@pytest.mark.parametrize("way", [{}, FORK], ids=["fast", "by fork"])
def test_r10_no_room_for_a_process_is_a_start_that_failed(rig: Rig, way: Message) -> None:
    let_have_processes(rig, "0")
    error = refusal(rig, **way)
    assert (error["step"], error["errno"]) == ("fork", errno.EAGAIN)
    assert error["text"].startswith("cannot run true: no room for a process: resource temp")
    let_have_processes(rig, limits_of(rig.holder_pid)["Max processes"][1])
    assert rig.spawn("web-0", "sleep", "1000", **way).is_alive


@pytest.mark.parametrize("way", [{}, FORK], ids=["fast", "by fork"])
def test_r11_no_memory_for_a_process_is_a_start_that_failed(rig: Rig, way: Message) -> None:
    calls = "vfork,fork,clone,clone3"
    command = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    inject = ["-e", f"inject={calls}:error=ENOMEM", "-p", str(rig.holder_pid)]
    if shutil.which("strace") is None:
        pytest.skip("strace is needed to make the kernel refuse memory")
    with subprocess.Popen([*command, *inject]) as tracer:
        until(lambda: status_of(rig.holder_pid)["TracerPid"] != "0")
        error = refusal(rig, **way)
        tracer.terminate()
    assert (error["step"], error["errno"]) == ("fork", errno.ENOMEM)
    assert "no room for a process: cannot allocate memory" in error["text"]
    assert rig.spawn("web-0", "sleep", "1000", **way).is_alive


@pytest.mark.parametrize("rig", ["user"], indirect=True)
def test_y16_an_unprivileged_holder_gives_no_right_that_it_lacks(rig: Rig) -> None:
    """It says so before the program runs, and what it may do, it does."""
    most = int(limits_of(rig.holder_pid)["Max open files"][1])
    asked: list[tuple[Message, str, int]] = [
        ({"uid": 0, "gid": 0, "groups": [0]}, "user", errno.EPERM),
        ({"nice": -5}, "nice", errno.EACCES),
        ({"limits": {"nofile": [most + 1, most + 1]}}, "limits", errno.EPERM),
    ]
    for identity, step, number in asked:
        error = refusal(rig, identity=identity)
        assert (error["step"], error["errno"]) == (step, number), error
    assert f"(the most is {most})" in error["text"]
    humble: Message = {"umask": 0o077, "nice": 5, "noNewPrivileges": True}
    started = rig.spawn("web-0", "sleep", "1000", identity={**humble, "limits": {"cpu": [60, 60]}})
    status = status_of(started.pid)
    assert (status["Umask"], status["NoNewPrivs"]) == ("0077", "1")
    assert limits_of(started.pid)["Max cpu time"] == ("60", "60")
    assert os.getpriority(os.PRIO_PROCESS, started.pid) == 5
