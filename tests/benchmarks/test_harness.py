"""The pure parts of the benchmarks: what is summed up and laid out is what was measured."""

from __future__ import annotations

import doctest
import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as program
from benchmarks import load, processes, report, sample, soak, supervisors
from benchmarks.cases import planning, rolling
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.scanned import LoggingRunit, LoggingS6, Scanned
from benchmarks.report import HEAD, LIMITS, WIDTH, Beside, Row, as_markdown, as_text, time_text
from benchmarks.sample import Sample
from reconciler.core.planner import plan
from tests.waiting import until

TIMES = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)
WORDS = st.text(st.sampled_from("ab 9"), max_size=60)
ROWS = st.builds(
    Row,
    what=WORDS,
    budget=WORDS,
    measured=WORDS,
    beside=WORDS,
    ratio=st.none() | st.floats(0, 999),
    met=st.none() | st.booleans(),
)


@pytest.mark.parametrize(
    "module", [load, report, sample, soak, supervisors], ids=lambda module: str(module.__name__)
)
def test_the_examples_in_the_code_hold(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]  # any module will do
    assert found.attempted > 0
    assert found.failed == 0


@given(TIMES)
def test_the_median_is_that_of_the_standard_library(values: list[float]) -> None:
    assert Sample(tuple(values)).median == pytest.approx(statistics.median(values))


@given(TIMES)
def test_at_most_one_in_twenty_is_above_p95_and_it_was_measured(values: list[float]) -> None:
    found = Sample(tuple(values))
    assert found.p95 in values
    assert sum(value > found.p95 for value in values) <= len(values) / 20
    assert found.least <= found.median <= found.most


def test_nothing_measured_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Sample(())


@given(st.lists(ROWS, max_size=5))
def test_no_line_of_the_table_is_too_long_for_a_terminal(rows: list[Row]) -> None:
    assert all(len(line) <= WIDTH for line in as_text(rows).splitlines())


def test_every_column_has_a_width_and_they_fit_together() -> None:
    assert len(LIMITS) == len(HEAD)
    assert sum(LIMITS) + len(report.GAP) * (len(HEAD) - 1) <= WIDTH


def test_a_missed_budget_is_shown_in_capitals_and_no_budget_as_a_dash() -> None:
    rows = [Row(what=name, measured="1", met=met) for name, met in (("a", False), ("b", None))]
    assert [line.split()[-1] for line in as_text(rows).splitlines()[1:]] == ["NO", "-"]


def test_the_page_has_a_line_for_each_row_its_note_and_the_machine() -> None:
    beside = Beside(title="10 x", columns=("start",), lines=(("runit", "1.00 s"),), note="all")
    rows = [Row(what="a", measured="1 ms", note="of 3")]
    text = program.page([beside], rows, {"System": "Linux"})
    assert "| runit | 1.00 s |" in text
    assert "\nall\n" in text
    assert "| a | - | 1 ms | - | - | - |" in text
    assert "- **a**: of 3" in text
    assert "- System: Linux" in text


def test_a_case_that_cannot_run_is_a_row_that_missed_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> list[Row]:
        raise processes.NeverCameError("3 of 500 services ran after 60 s")

    monkeypatch.setattr(program, "CASES", {"cold": fails})
    (row,) = program.measured("cold")
    assert isinstance(row, Row)
    assert (row.met, row.note) == (False, "3 of 500 services ran after 60 s")
    assert "3 of 500" in as_markdown([row])


@given(st.floats(1e-6, 1e4))
def test_a_time_is_readable_and_not_far_from_what_it_was(value: float) -> None:
    number, unit = time_text(value).split()
    shown = float(number) * {"s": 1, "ms": 1e-3}[unit]
    assert shown == pytest.approx(value, rel=0.06, abs=1e-5)


def test_the_situation_that_is_planned_for_has_nothing_to_do() -> None:
    situation = planning.converged(30)
    assert len(situation.desired.services) == 30
    assert plan(situation).actions == ()


@pytest.mark.real
def test_services_are_counted_by_their_tag_once_they_were_really_executed() -> None:
    tag = f"{20_000_000 + os.getpid()}.5"
    sleep = shutil.which("sleep")
    assert sleep
    census = processes.Census(tag)
    with (
        subprocess.Popen([sleep, tag, "7"]) as service,
        subprocess.Popen([sys.executable, "-c", f"input() # {tag}", "8"], stdin=-1) as other,
    ):
        until(lambda: census.grown() == {service.pid: 7}, message="the service to be counted")
        processes.end([service.pid])
        assert census.fresh() == {}, "a dead process is not counted, though nobody waited for it"
        other.kill()


SCANNING = """
import sys
from benchmarks import processes, supervisors
from benchmarks.peers import scanned

processes.leave_in_order()
with supervisors.running(getattr(scanned, sys.argv[1])(2)) as found:
    print(found.folder, *found.managers(), *found.census.fresh(), flush=True)
    input()
"""


@pytest.mark.real
@pytest.mark.parametrize("peer", [LoggingRunit, LoggingS6])
def test_a_benchmark_that_is_ended_leaves_no_scanner_and_nothing_below_it(
    peer: type[Scanned],
) -> None:
    if not peer.is_installed():
        pytest.skip(f"{peer.name} is not installed; {peer.mend}")
    words = [sys.executable, "-c", SCANNING, peer.__name__]
    with subprocess.Popen(words, stdin=-1, stdout=-1, text=True) as benchmark:
        assert benchmark.stdout
        folder, *pids = benchmark.stdout.readline().split()
        told = [*map(int, pids)]
        names = [processes.command_line(pid).split(b"\0")[0].decode() for pid in told]
        benchmark.terminate()
    assert benchmark.returncode == 128 + signal.SIGTERM
    assert peer.scanner in names
    assert not any(map(processes.is_alive, told))
    assert not Path(folder).exists()


@pytest.mark.real
def test_a_command_is_timed_with_its_cpu_time_and_a_failed_one_is_no_result() -> None:
    wall, cpu = processes.run_once(sys.executable, "-c", "sum(range(10**6))")
    assert 0 < cpu <= wall * 2
    with pytest.raises(processes.NeverCameError, match="it failed"):
        processes.run_once(sys.executable, "-c", "raise SystemExit(3)")


@pytest.mark.real
def test_own_memory_cpu_and_files_can_be_read() -> None:
    me = os.getpid()
    assert processes.pss_bytes([me]) > 1e6
    before = processes.cpu_time_s([me])
    sum(range(10**6))
    assert processes.cpu_time_s([me]) > before
    known = processes.open_files(me)
    with Path(os.devnull).open():
        assert processes.open_files(me) == known + 1


@pytest.mark.parametrize(
    ("files", "memory", "is_leak"),
    [
        (soak.MAY_OPEN, soak.MAY_GROW_BYTES, False),
        (soak.MAY_OPEN + 1, 0, True),
        (0, soak.MAY_GROW_BYTES + 1, True),
        (-50, -1e7, False),
    ],
)
def test_what_grew_more_than_it_may_is_a_leak(files: int, memory: float, is_leak: bool) -> None:
    before = soak.Footprint(20, 30_000_000)
    after = soak.Footprint(20 + files, 30_000_000 + int(memory))
    assert bool(soak.leaks({"daemon": before}, {"daemon": after})) == is_leak


def test_the_readme_shows_tables_of_the_last_whole_run() -> None:
    details = program.PAGE.read_text()
    shown = program.README.read_text().partition(report.BEGIN)[2].partition(report.END)[0]
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(lines) > 5
    assert all(line in details for line in lines)


def test_a_load_generator_that_is_missing_fails_the_benchmarks_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rolling, "is_installed", lambda: False)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "rolling"])
    assert program.main() == 1
    assert "wrk" in capsys.readouterr().err


def test_a_peer_that_is_missing_fails_the_benchmarks_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Pm2, "is_installed", classmethod(lambda _: False))
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert program.main() == 1
    assert "PM2" in capsys.readouterr().err
