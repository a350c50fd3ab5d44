"""Daemons and holders die; services do not notice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import app
from reconciler.model.units import ServiceName
from reconciler.ports import ConflictError, NotFoundError
from reconciler.runtime.foreground import BURST_S
from reconciler.runtime.home import is_held
from tests.holder.rig import KERNEL_TELLS
from tests.real.station import Station, is_alive, python, station
from tests.waiting import until

pytestmark = pytest.mark.real


def some_up(here: Station) -> dict[str, int | None]:
    here.define("web", more="backoff: {initial: 10ms, jitter: 0ms}\n")
    here.define("api", more="instances: 2\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    return here.pids()


def sleepers(here: Station) -> list[int]:
    """Give the pids of all that sleeps in the repository, whoever knows of it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_asleep = place.joinpath("cmdline").read_bytes() == b"sleep\x001000\x00"
            if is_asleep and place.joinpath("cwd").readlink() == here.root:
                found.append(int(place.name))
    return found


def test_p1_a_killed_daemon_changes_no_pid_and_the_next_one_adopts(here: Station) -> None:
    before = some_up(here)
    starts = len([e for e in here.events() if e["kind"] == "service.starting"])
    here.kill_daemon()
    assert all(map(is_alive, before.values()))
    here.up()
    adopted = {"type": "note", "text": f"adopted {len(before)} running processes"}
    assert adopted in here.tell("/v1/operations", kind="settle", timeout=30)
    assert adopted not in here.tell("/v1/operations", kind="settle", timeout=30)
    assert here.pids() == before
    assert all(instance["ready"] for instance in here.service("api")["instances"])
    assert len([e for e in here.events() if e["kind"] == "service.starting"]) == starts


def test_what_died_meanwhile_is_known_with_its_exit(here: Station) -> None:
    here.define("job", python("import time; time.sleep(3); raise SystemExit(7)"), quick=False)
    here.define("web", more="backoff: {initial: 10ms, jitter: 0ms}\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    web, job = here.pid("web"), here.pid("job")
    here.kill_daemon()
    os.kill(web or 0, signal.SIGKILL)
    until(lambda: not is_alive(job))
    here.up()
    until(lambda: here.is_running("web"))
    assert here.instance("web")["lastExit"]["signal"] == "SIGKILL"
    assert here.instance("web")["restartCount"] == 1
    assert here.instance("job")["lastExit"]["code"] == 7
    crashed = [e for e in here.events("job") if e["kind"] == "service.crashed"]
    assert len(crashed) == 1


def test_a_oneshot_is_not_run_again_because_the_daemon_was_replaced(here: Station) -> None:
    note = here.root / "runs"
    here.define("job", f'/bin/sh -c "echo x >> {note}"', "type: oneshot\n", quick=False)
    here.up()
    until(lambda: here.service("job").get("reasonCode") == "Completed")
    here.kill_daemon()
    here.up()
    here.settle()
    assert here.service("job")["reasonCode"] == "Completed"
    assert note.read_text() == "x\n"


def test_p5_a_killed_holder_changes_no_pid_and_hides_no_end(here: Station) -> None:
    before = some_up(here)
    holder = here.status()["daemon"]["holderPid"]
    os.kill(holder, signal.SIGKILL)
    os.kill(before["web-0"] or 0, signal.SIGSEGV)
    until(lambda: here.status()["daemon"]["holderPid"] not in (holder, None))
    until(lambda: here.is_running("web", "api"))
    after = here.pids()
    assert {slot: after[slot] for slot in ("api-0", "api-1")} == {
        slot: before[slot] for slot in ("api-0", "api-1")
    }
    assert here.instance("web")["restartCount"] == 1
    last = here.instance("web")["lastExit"]
    assert last["signal"] == "SIGSEGV" or (last["unknown"] and not KERNEL_TELLS)
    os.kill(after["api-0"] or 0, signal.SIGKILL)
    until(lambda: here.is_running("api") and here.pid("api") != after["api-0"])
    assert len([e for e in here.events("web") if e["kind"] == "service.crashed"]) == 1


def test_daemon_and_holder_die_together_and_all_that_they_knew_with_them(here: Station) -> None:
    """The second time their journal and record are deleted before the next ones begin."""
    before = some_up(here)
    for is_deleted in (False, True):
        os.kill(here.status()["daemon"]["holderPid"], signal.SIGKILL)
        here.kill_daemon()
        if is_deleted:
            shutil.rmtree(here.paths.state)
        assert all(map(is_alive, before.values()))
        here.up()
        assert here.settle()["exitCode"] == 0
        assert here.pids() == before
    assert not [event for event in here.events() if event["kind"] == "service.starting"]


def test_a_journal_deleted_under_a_living_holder_loses_no_end(here: Station) -> None:
    before = some_up(here)
    here.paths.journal.unlink()
    here.kill_daemon()
    os.kill(before["web-0"] or 0, signal.SIGSEGV)
    until(lambda: not is_alive(before["web-0"]))
    here.up()
    until(lambda: here.is_running("web", "api") and here.pid("web") != before["web-0"])
    assert here.instance("web")["lastExit"]["signal"] == "SIGSEGV"
    after = here.pids()
    assert {slot for slot in before if after[slot] != before[slot]} == {"web-0"}


@pytest.mark.parametrize("lose", [Path.unlink, lambda journal: os.truncate(journal, 60)])
def test_with_the_journal_that_alone_told_of_an_end_only_this_end_is_lost(
    here: Station, lose: Callable[[Path], None]
) -> None:
    before = some_up(here)
    holder = here.status()["daemon"]["holderPid"]
    here.kill_daemon()
    os.kill(before["api-0"] or 0, signal.SIGSEGV)
    until(lambda: '"is":"exited"' in here.paths.journal.read_text())
    os.kill(holder, signal.SIGKILL)
    until(lambda: not here.is_held)
    lose(here.paths.journal)
    here.up()
    until(lambda: here.is_running("web", "api") and here.pid("api") not in (None, before["api-0"]))
    assert here.instance("api")["lastExit"]["unknown"], "nobody knows how, and nothing is made up"
    after = here.pids()
    assert {slot for slot in before if after[slot] != before[slot]} == {"api-0"}
    assert sorted(sleepers(here)) == sorted(pid or 0 for pid in after.values())


def test_services_can_be_kept_when_the_daemon_goes(here: Station) -> None:
    before = some_up(here)
    summary = here.tell("/v1/shutdown", keepServices=True)[-1]
    assert summary["exitCode"] == 0
    until(lambda: not is_held(here.paths.daemon_lock))
    assert all(map(is_alive, before.values()))
    here.up()
    here.settle()
    assert here.pids() == before


def test_down_leaves_nothing_behind(here: Station) -> None:
    before = some_up(here)
    summary = here.tell("/v1/shutdown")[-1]
    assert summary["exitCode"] == 0
    assert not any(map(is_alive, before.values()))
    until(lambda: not is_held(here.paths.daemon_lock))
    until(lambda: not here.is_held)
    assert not here.paths.socket.exists()


def test_p9_a_second_daemon_is_refused_and_the_first_one_goes_on(here: Station) -> None:
    some_up(here)
    socket = here.paths.socket.stat().st_ino
    with pytest.raises(ConflictError, match=f"daemon {here.daemon_pid} runs this directory") as why:
        here.up()
    assert why.value.exit_code == 10
    assert here.paths.socket.stat().st_ino == socket
    assert here.is_running("web")


def test_r15_everything_git_ignores_can_be_deleted_under_it(here: Station) -> None:
    before = some_up(here)
    here.commit()
    pid = here.daemon_pid
    here.git("clean", "-fdxq")
    with pytest.raises(ConflictError, match=str(pid)):
        here.up()
    until(here.paths.socket.exists)
    until(lambda: here.is_running("web"))
    assert here.pids() == before
    assert here.paths.state.stat().st_mode & 0o777 == 0o700
    os.kill(before["web-0"] or 0, signal.SIGKILL)
    until(lambda: here.is_running("web") and here.pid("web") != before["web-0"])
    assert until(lambda: here.events("web"))


def test_a_checkout_with_a_long_path_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    root = tmp_path / ("x" * 80) / ("y" * 80)
    root.mkdir(parents=True)
    with station(root) as deep:
        deep.define("web")
        deep.up()
        assert deep.settle()["exitCode"] == 0
        assert deep.paths.socket.parent == runtime


def test_p10_two_checkouts_of_one_repository_do_not_mix(here: Station, tmp_path: Path) -> None:
    before = some_up(here)
    other = tmp_path / "other"
    other.mkdir()
    with station(other) as there:
        shutil.copytree(here.root / "services.d", there.root / "services.d", dirs_exist_ok=True)
        there.up()
        assert there.settle()["exitCode"] == 0
        assert not set(there.pids().values()) & set(before.values())
    assert here.pids() == before
    assert all(map(is_alive, before.values()))


def mounted(folder: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_r1_a_full_state_disk_harms_no_service_and_is_said(tmp_path: Path) -> None:
    root, state = tmp_path / "repo", tmp_path / "state"
    root.mkdir()
    state.mkdir(mode=0o700)
    if not mounted(state, "1m"):
        pytest.skip("needs the right to mount a tmpfs")
    try:
        with station(root, state) as here:
            here.define("web", more="backoff: {initial: 10ms, jitter: 0ms}\n")
            here.up()
            assert here.settle()["exitCode"] == 0
            pid = here.pid("web")
            filler = state / "filler"
            with pytest.raises(OSError, match="No space left"):
                filler.write_bytes(b"x" * (2 << 20))
            os.kill(pid or 0, signal.SIGKILL)
            until(lambda: here.is_running("web") and here.pid("web") != pid)
            until(lambda: any("full" in said for said in here.status()["daemon"]["troubles"]))
            filler.unlink()
            until(lambda: not here.status()["daemon"]["troubles"], seconds=20)
            assert [e["seq"] for e in here.events()] == list(range(1, len(here.events()) + 1))
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)


def test_a_directory_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="git"):
        app.start_detached(app.UpOptions(root=tmp_path))


FOREGROUND = """
import sys
from pathlib import Path
from reconciler import app
def show(message):
    event = getattr(message, "event", None)
    print(type(message).__name__, event.kind if event else message, flush=True)
sys.exit(app.run_foreground(app.UpOptions(root=Path(sys.argv[1])), show))
"""


def foreground(here: Station) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FOREGROUND, str(here.root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())


def heard(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")


def test_ctrl_c_stops_everything_in_order_and_leaves(here: Station) -> None:
    here.define("db")
    here.define("web", more="dependsOn: [db]\n")
    with foreground(here) as process:
        heard(process, "Converged")
        pids = here.pids()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read() if process.stdout else ""
        assert process.wait(20) == 0
    assert not any(map(is_alive, pids.values()))
    assert rest.count("service.stopped") == 2
    until(lambda: not here.is_held)


def test_ctrl_c_in_the_middle_of_the_start_leaves_nothing_behind(here: Station) -> None:
    here.define("db", more="ready: {type: tcp, tcp: {port: 1}}\n", quick=False)
    here.define("web", more="dependsOn: [db]\n")
    with foreground(here) as process:
        heard(process, "service.starting")
        pid = until(lambda: here.pid("db"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert not is_alive(pid)
    until(lambda: not here.is_held)


def test_v15_a_second_ctrl_c_kills(here: Station) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(1000)"
    here.define("web", python(code), "stopTimeout: 10m\n", quick=False)
    with foreground(here) as process:
        heard(process, "Converged")
        pid = here.pid("web")
        process.send_signal(signal.SIGINT)
        heard(process, "service.stopping")
        assert is_alive(pid)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2 * BURST_S)  # a press that comes at once is the first one's echo
        process.send_signal(signal.SIGINT)
        assert "killing" in heard(process, "Note")
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert not is_alive(pid)


def test_p13_many_signals_at_once_are_one_orderly_end(here: Station) -> None:
    here.define("web")
    here.up()
    assert here.settle()["exitCode"] == 0
    pid, service = here.daemon_pid, here.pid("web")
    harmless = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)
    for number in harmless * 100:
        os.kill(pid or 0, number)
    assert here.is_running("web")
    for number in (signal.SIGTERM, *harmless) * 2000:
        try:
            os.kill(pid or 0, number)
        except ProcessLookupError:
            break
    until(lambda: not is_held(here.paths.daemon_lock))
    assert not is_alive(service)
    until(lambda: not here.is_held)
    assert "Traceback" not in here.paths.daemon_log.read_text()


def reboot(here: Station) -> None:
    """End everything without a warning, and let its records be of another boot of the host."""
    pids = [*here.pids().values(), here.status()["daemon"]["holderPid"], here.daemon_pid]
    for pid in reversed(pids):
        os.kill(pid or 0, signal.SIGKILL)
    until(lambda: not any(map(is_alive, pids)))
    with closing(sqlite3.connect(here.paths.database)) as record:
        record.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    for file in (here.paths.database, here.paths.journal):
        text = file.read_bytes()
        assert boot in text
        file.write_bytes(text.replace(boot, boot[::-1]))


def test_p15_after_a_reboot_everything_starts_again_in_order_and_nothing_crashed(
    here: Station,
) -> None:
    here.define("db")
    here.define("api", more="dependsOn: [db]\n")
    here.define("web", more="dependsOn: [api]\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    before, last = here.pids(), here.events()[-1]["seq"]
    reboot(here)
    here.up()
    assert here.settle()["exitCode"] == 0
    assert not set(here.pids().values()) & set(before.values())
    since = [event for event in here.events() if event["seq"] > last]
    told = [(e["service"], e["kind"]) for e in since if e["kind"].startswith("service.")]
    order = [told.index((name, "service.starting")) for name in ("db", "api", "web")]
    ready = [told.index((name, "service.ready")) for name in ("db", "api")]
    assert order[0] < ready[0] < order[1] < ready[1] < order[2]
    assert not [kind for _, kind in told if "crash" in kind]
    assert all(here.instance(name)["restartCount"] == 0 for name in ("db", "api", "web"))


def test_p11_a_pid_file_and_a_socket_that_a_dead_daemon_left_harm_no_stranger(
    here: Station,
) -> None:
    here.define("web")
    here.paths.state.mkdir(mode=0o700)
    with (
        subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale,
    ):
        stale.bind(str(here.paths.socket))
        here.paths.lock_file.write_text(f"{stranger.pid}\n0.0.1\n")
        assert here.daemon_pid is None
        here.up()
        assert here.settle()["exitCode"] == 0
        assert here.daemon_pid != stranger.pid
        here.down()
        assert stranger.poll() is None
        stranger.kill()


def test_only_the_services_that_are_named_and_their_needs_run(tmp_path: Path) -> None:
    root = tmp_path / "some"
    root.mkdir()
    with station(root) as some:
        some.options = replace(some.options, only=(ServiceName("web"),))
        some.define("db")
        some.define("web", more="dependsOn: [db]\n")
        some.define("other")
        some.up()
        assert some.settle()["exitCode"] == 0
        assert some.is_running("db", "web")
        assert some.service("other")["state"] == "stopped"
        assert some.service("other")["reason"] == "left out by --only"


def test_a_fault_is_shown_the_moment_it_is_saved(here: Station) -> None:
    here.define("web")
    with foreground(here) as process:
        heard(process, "Converged")
        here.file("web").write_text("name: web\ncommand: [\n")
        assert "W1" in heard(process, "Problem")
        here.define("web")
        heard(process, "all manifests are valid again")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_a_detached_daemon_holds_nothing_of_its_caller(here: Station) -> None:
    here.define("web")
    code = (
        "import sys; from pathlib import Path; from reconciler import app;"
        "print(app.start_detached(app.UpOptions(root=Path(sys.argv[1]))))"
    )
    # The end of the output is seen only when nobody holds the pipe any more.
    ran = subprocess.run(
        [sys.executable, "-c", code, str(here.root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path.cwd(),
    )
    pid = int(ran.stdout)
    assert pid == here.daemon_pid
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
