"""What is rotated when, and what is kept."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.adapters.logs.record import record_path
from reconciler.model.log import LogRotation
from reconciler.model.units import Nanos, seconds
from tests.logs.desk import DAY, FULL, Desk
from tests.logs.rotating import source_of
from tests.logs.test_rotation import all_of, append, leavings, lines
from tests.logs.writing import START, Folder
from tests.waiting import until


def test_the_oldest_files_go_and_what_is_left_is_the_end_of_all(desk: Desk) -> None:
    log = desk.log()
    for number in range(10):
        append(log, lines(number * 1000, number * 1000 + 1000))
        desk.look()
    assert len(desk.rotated()) == 3
    assert lines(0, 10_000).endswith(all_of(log))
    assert len(all_of(log)) > 3 * 58_000


@pytest.mark.parametrize(("files", "kept"), [(0, 0), (1, 1)])
def test_few_or_no_rotated_files(desk: Desk, files: int, kept: int) -> None:
    """With none, the older half of the live file is dropped; the newer half is there."""
    log = desk.log(replace(FULL, max_files=files))
    for number in range(10):
        append(log, lines(number * 1000, number * 1000 + 1000))
        desk.look()
        assert log.stat().st_size < 65536
        assert lines(0, number * 1000 + 1000).endswith(all_of(log))
        assert len(all_of(log)) >= 32768
    assert len(desk.rotated()) == kept


def test_of_a_log_that_is_huge_already_only_what_is_kept_is_copied(desk: Desk) -> None:
    log = desk.log()
    append(log, lines(0, 30_000))
    desk.look()
    assert len(desk.rotated()) == 3
    assert lines(0, 30_000).endswith(all_of(log))
    assert 3 * 65536 <= len(all_of(log)) <= 5 * 65536


def test_a_change_of_the_policy_holds_from_the_next_look_on(desk: Desk) -> None:
    log = desk.log(replace(FULL, max_size=None))
    append(log, lines(0, 6000))
    desk.look()
    assert desk.rotated() == []
    desk.sources = [source_of(log, FULL)]
    desk.look()
    assert len(desk.rotated()) == 3
    desk.sources = [source_of(log, replace(FULL, max_files=1))]
    desk.look()
    assert len(desk.rotated()) == 1


def test_an_interval_cuts_a_small_log_whole_blocks_at_a_time(desk: Desk) -> None:
    log = desk.log(LogRotation(interval=Nanos(seconds(DAY)), compress=False))
    append(log, lines(0, 100))
    desk.look()
    desk.at += DAY - 1
    desk.look()
    assert desk.rotated() == []
    desk.at += 2
    desk.look()
    assert [path.stat().st_size for path in desk.folder.glob("*.log.0*")] == [4096]
    desk.at += DAY / 2
    append(log, lines(100, 300))
    desk.look()
    assert len(desk.rotated()) == 1
    desk.at += DAY
    desk.look()
    assert len(desk.rotated()) == 2
    assert all_of(log) == lines(0, 300)


def test_a_clock_that_is_set_back_stops_no_interval(desk: Desk) -> None:
    log = desk.log(LogRotation(interval=Nanos(seconds(DAY)), compress=False))
    append(log, lines(0, 100))
    desk.look()
    desk.at -= 365 * DAY
    desk.look()
    desk.at += DAY + 1
    desk.look()
    assert len(desk.rotated()) == 1


def test_a_log_that_two_services_share_is_rotated_once(desk: Desk, tmp_path: Path) -> None:
    log = desk.log()
    (tmp_path / "same").symlink_to(tmp_path)
    desk.log(path=tmp_path / "same" / "web.log")
    desk.log()
    append(log, lines(0, 1200))
    desk.look()
    assert len(desk.rotated()) == 1
    assert all_of(log) == lines(0, 1200)


@pytest.mark.parametrize("kind", ["fifo", "device", "link"])
def test_what_is_no_plain_file_is_left_alone(desk: Desk, kind: str, tmp_path: Path) -> None:
    log = desk.log()
    if kind == "fifo":
        os.mkfifo(log)
    elif kind == "device":
        desk.sources = [source_of(Path("/dev/null"), FULL)]
    else:
        (tmp_path / "other").write_bytes(lines(0, 5000))
        log.symlink_to(tmp_path / "other")
    before = sorted(tmp_path.iterdir())
    desk.look()
    assert sorted(tmp_path.iterdir()) == before
    assert desk.told() == []


def test_it_is_looked_at_more_often_the_sooner_it_will_be_full(desk: Desk) -> None:
    log = desk.log(LogRotation(max_size=1 << 20))
    append(log, b"")
    desk.look()
    assert desk.look() > 9
    append(log, b"x" * 900_000)
    assert desk.look() < 1


def test_rotated_files_are_compressed_by_a_process_of_its_own(desk: Desk) -> None:
    log = desk.log(replace(FULL, compress=True))
    append(log, lines(0, 4000))
    desk.look()
    until(lambda: desk.look() and all(name.endswith(".gz") for name in desk.rotated()))
    assert all_of(log) == lines(0, 4000)
    assert leavings(log) == []
    assert subprocess.run(["gzip", "-t", *desk.folder.glob("*.gz")], check=False).returncode == 0


def test_a_damaged_rotated_file_costs_its_lines_and_no_others(desk: Desk) -> None:
    log = desk.log(replace(FULL, compress=True))
    append(log, lines(0, 4000))
    until(lambda: desk.look() and all(name.endswith(".gz") for name in desk.rotated()))
    (desk.folder / desk.rotated()[0]).write_bytes(b"no gzip at all")
    assert lines(0, 4000).endswith(all_of(log))
    assert len(all_of(log)) > 2 * 65536


def test_offsets_go_on_when_the_record_is_lost(desk: Desk) -> None:
    log = desk.log()
    append(log, lines(0, 3000))
    desk.look()
    record_path(log).unlink()
    append(log, lines(3000, 4000))
    assert all_of(log) == lines(0, 4000)


def test_runs_and_times_are_found_in_rotated_files(tmp_path: Path) -> None:
    """The index counts in bytes ever written, so that rotation moves none of its marks."""
    logs = Folder(tmp_path)
    web = replace(logs.source(), rotation=replace(FULL, max_files=9, compress=True))
    logs.sources = [web]
    for run in range(4):
        logs.start(web, run * 100)
        logs.write(web, f"run {run} begins\n", at=run * 100 + 1)
        logs.write(web, lines(run * 2000, run * 2000 + 2000), at=run * 100 + 50)
        logs.files.keep()
        web = replace(web, pid=run)  # a new run is looked at at once
        logs.sources = [web]
    logs.look(400)
    until(lambda: logs.files.keep().pause_s and len(list(tmp_path.rglob("*.gz"))) >= 5)
    previous = logs.texts(previous=True, lines=None)
    assert previous[0] == "run 2 begins"
    assert previous[1:] == lines(4000, 6000).decode().splitlines()
    then = logs.texts(since=START + 105, until=START + 149, lines=None)
    assert then == lines(2000, 4000).decode().splitlines()
    found = logs.texts(grep="^000(0007|7999) ", lines=5)
    assert [text[:7] for text in found] == ["0000007", "0007999"]
    logs.files.close()
