"""What host and services do to a holder: nothing is lost, killed or forgotten for it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import settings
from tests.holder import reusing
from tests.holder.rig import Rig
from tests.waiting import until

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


def leave_no_descriptor(pid: int) -> tuple[int, int]:
    """Let a process open nothing more; give its limits of before."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = max(int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most + 1, before[1]))
    return before


def test_r7_without_descriptors_a_start_is_refused_and_what_runs_is_looked_after(rig: Rig) -> None:
    running = rig.spawn("web-0", "sleep", "1000")
    before = leave_no_descriptor(rig.holder_pid)
    refused = rig.try_spawn("web-1", ["sleep", "1000"])["error"]
    assert refused["errno"] == errno.EMFILE
    assert "Too many open files" in refused["text"]
    assert "limit" not in refused["text"], "no limit was asked for"
    os.kill(running.pid, signal.SIGKILL)
    assert rig.wait_for("exited", running)["signal"] == signal.SIGKILL
    resource.prlimit(rig.holder_pid, resource.RLIMIT_NOFILE, before)
    rig.wait_for("empty", running)
    assert rig.spawn("web-0", "sleep", "1000").is_alive


@pytest.mark.parametrize("rig", [settings.UNSEEN], indirect=True)
def test_r17_where_proc_shows_only_ones_own_processes_nothing_is_taken_for_dead(rig: Rig) -> None:
    assert "hidepid=" in Path(f"/proc/{rig.holder_pid}/mountinfo").read_text()
    started = rig.spawn_shell(
        "web-0",
        "(setsid sh -c 'echo up; exec sleep 1000' &); echo up; wait; exec sleep 1000",
        ups=2,
    )
    rig.restart_holder()
    assert rig.runs()[started.run]["exit"] is None
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    rig.signal(started, signal.SIGKILL, "tree")
    rig.wait_for("empty", started)


@settings.in_every_setting
def test_v7_and_v8_what_becomes_of_its_output_says_nothing_of_a_process(rig: Rig) -> None:
    """One closes its streams and lives; one ends, and a child of it holds them on."""
    silent = rig.spawn("web-0", "/bin/sh", "-c", "exec <&- >&- 2>&-; exec sleep 1000")
    until(lambda: not [*Path(f"/proc/{silent.pid}/fd").iterdir()])
    left = rig.spawn_shell("web-1", "sleep 1000 & echo up; exit 5")
    assert rig.wait_for("exited", left)["code"] == 5
    assert silent.is_alive
    assert not [event for event in rig.events if event["run"] == silent.run]


def test_c6_and_c7_and_c8_a_number_that_another_process_has_by_now_is_never_signalled() -> None:
    """It is given out again between the check and the signal, as where all numbers are used up."""
    if os.geteuid():
        pytest.skip("only root can say which number comes next")
    command = ["/usr/bin/unshare", "-pf", "--mount-proc", sys.executable, "-m", reusing.__name__]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert int(done.stdout) >= reusing.TRIES // 2
