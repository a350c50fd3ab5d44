"""How processes are found: stopped, held by a debugger, reniced, gone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.adapters.native.condition import conditions, renice
from reconciler.model.observed import ProcessId
from reconciler.model.status import Condition
from tests.waiting import until


def born(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.fixture
def sleeper() -> Iterator[ProcessId]:
    with subprocess.Popen(["sleep", "100"]) as process:
        yield ProcessId(boot="", pid=process.pid, born=born(process.pid))
        process.kill()


@pytest.mark.real
def test_a_stop_and_a_nice_are_seen_of_the_very_process_that_is_meant(sleeper: ProcessId) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert conditions([sleeper])[sleeper] == Condition(is_halted=False, nice=usual)
    os.kill(sleeper.pid, signal.SIGSTOP)
    assert renice(sleeper.pid, sleeper.born, 7) == ""
    until(lambda: conditions([sleeper])[sleeper] == Condition(is_halted=True, nice=7))
    other = ProcessId(boot="", pid=sleeper.pid, born=sleeper.born + 1)
    assert conditions([other]) == {}
    assert renice(other.pid, other.born, 9) == "it is gone"
    assert conditions([sleeper])[sleeper].nice == 7


def fake(proc: Path, state: str, tracer: int) -> ProcessId:
    """Write what /proc shows of a process with a name that is hard to read."""
    (proc / "7").mkdir()
    rest = ["0"] * 15 + ["-3", "1", "0", "55", "0"]
    (proc / "7" / "stat").write_text(f"7 (a) T (b) {state} {' '.join(rest)}\n")
    (proc / "7" / "status").write_text(f"Name:\ta) T (b\nTracerPid:\t{tracer}\n")
    return ProcessId(boot="", pid=7, born=55)


@pytest.mark.parametrize(
    ("state", "tracer", "is_halted"),
    [("T", 0, True), ("T", 9, False), ("t", 9, False), ("S", 0, False), ("D", 0, False)],
)
def test_what_a_debugger_holds_is_not_stopped_by_hand(
    tmp_path: Path, state: str, tracer: int, is_halted: bool
) -> None:
    target = fake(tmp_path, state, tracer)
    found = conditions([target], str(tmp_path))
    assert found == {target: Condition(is_halted=is_halted, nice=-3)}
