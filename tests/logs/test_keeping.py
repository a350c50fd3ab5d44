"""What is rotated when, what is kept, and what is said when something is wrong with a log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.adapters.logs import rotate
from reconciler.adapters.logs.keeper import Keeper
from reconciler.adapters.logs.record import read_record, record_path
from reconciler.adapters.logs.stream import Stream, Streams
from reconciler.model.log import LogSource
from reconciler.model.spec import LogRotation
from reconciler.model.units import Nanos, seconds
from tests.logs.disks import disk, mounted
from tests.logs.rotating import source_of
from tests.logs.test_rotation import all_of, append, leavings, lines
from tests.logs.writing import START, Folder
from tests.small_disk import fill
from tests.waiting import until

DAY = 86_400.0
FULL = LogRotation(max_size=65536, max_files=3, compress=False)


class Desk:
    """A folder of logs, whoever keeps them, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = 1_700_000_000.0
        self.keeper = Keeper(Streams(), lambda: self.at, folder)
        self.sources: list[LogSource] = []

    def log(self, rotation: LogRotation = FULL, path: Path | None = None) -> Path:
        log = path or self.folder / "web.log"
        self.sources.append(source_of(log, rotation))
        return log

    def look(self) -> float:
        self.keeper.attend(self.sources)
        return self.keeper.look(at_all=True)

    def rotated(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*.log.0*"))

    def told(self) -> list[tuple[str, str]]:
        return [(news.kind, news.reason) for news in self.keeper.news()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.keeper.close()


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


# --- disks that are full ---------------------------------------------------------------------


def test_on_a_full_disk_the_oldest_rotated_files_go_first(tmp_path: Path) -> None:
    """R2, T11: the service's own writes work again, and what is there is the end of all."""
    with mounted("tmpfs", tmp_path / "disk", "1m") as folder:
        desk = Desk(folder)
        log = desk.log(replace(FULL, max_files=100))
        written = fails = 0
        for _ in range(60):
            try:
                append(log, lines(written, written + 500))
            except OSError:
                fails += 1
            written = int(all_of(log)[-58:][:7]) + 1 if all_of(log).endswith(b"say\n") else written
            desk.look()
        kinds = {kind for kind, _ in desk.told()}
        assert "log.disk-full" in kinds
        assert written > 20_000, fails
        assert leavings(log) == []


def test_on_a_disk_that_others_filled_nothing_is_half_done(tmp_path: Path) -> None:
    """R1: without room for a copy the log stays as it is, and is rotated when there is."""
    with mounted("tmpfs", tmp_path / "disk", "1m") as folder:
        desk = Desk(folder)
        log = desk.log()
        append(log, lines(0, 1500))
        filler = fill(folder)
        desk.look()
        assert desk.rotated() == []
        assert all_of(log) == lines(0, 1500)
        assert leavings(log) == ["filler"]
        assert any("is full" in text for text in desk.keeper.troubles())
        assert [kind for kind, _ in desk.told()].count("log.failed") == 1
        filler.unlink()
        desk.sources = [replace(desk.sources[0], pid=1)]
        desk.look()
        assert len(desk.rotated()) == 1
        assert all_of(log) == lines(0, 1500)


def test_where_a_file_can_only_be_emptied_the_loss_is_estimated_and_told(tmp_path: Path) -> None:
    with disk("empties", tmp_path / "disk") as folder:
        desk = Desk(folder)
        log = desk.log(replace(FULL, max_files=1000))
        program = "import os\nwhile True: os.write(1, b'%0.07d\\n' * 1000 % ((1,) * 1000))"
        with log.open("ab") as output:
            service = subprocess.Popen([sys.executable, "-c", program], stdout=output)
        try:
            until(lambda: desk.look() and any("lost" in text for text in desk.keeper.troubles()))
        finally:
            service.kill()
            service.wait()
        assert ("log.lost") in {kind for kind, _ in desk.told()}


# --- people who delete and move logs -----------------------------------------------------------


@pytest.fixture
def writer(desk: Desk) -> Iterator[subprocess.Popen[bytes]]:
    """Start a service that writes what it is told to."""
    log = desk.log()
    with log.open("ab") as output:
        made = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output, bufsize=0)
    desk.sources = [replace(desk.sources[0], pid=made.pid)]
    yield made
    made.kill()
    made.wait()
    assert made.stdin is not None
    made.stdin.close()


def test_a_log_that_was_deleted_is_noticed_and_the_mend_is_told(
    desk: Desk, writer: subprocess.Popen[bytes]
) -> None:
    log = Path(desk.sources[0].path)
    desk.look()
    log.unlink()
    desk.look()
    desk.look()
    assert [kind for kind, _ in desk.told()] == ["log.astray"]
    said = desk.keeper.troubles()[0]
    assert "which was deleted: `weaver restart web`" in said
    assert f"cp /proc/{writer.pid}/fd/1 FILE" in said
    log.touch()
    desk.look()
    assert "was deleted" in desk.keeper.troubles()[0]
    desk.sources = [replace(desk.sources[0], pid=None)]  # restarted
    desk.look()
    assert desk.keeper.troubles() == ()


def test_a_log_that_was_moved_is_noticed_and_the_new_one_goes_on_where_it_ended(
    desk: Desk, writer: subprocess.Popen[bytes]
) -> None:
    log = Path(desk.sources[0].path)
    append(log, lines(0, 100))
    desk.look()
    log.rename(log.with_name("web.log.old"))
    append(log, lines(100, 200))
    desk.look()
    assert "which was moved to" in desk.told()[0][1]
    assert writer.poll() is None
    assert all_of(log) == lines(100, 200)
    record = read_record(log)
    assert record is None or record.shift == 5800


def test_a_folder_of_ours_that_was_deleted_is_made_again(desk: Desk) -> None:
    """R15."""
    log = desk.log(path=desk.folder / "web" / "0.log")
    desk.look()
    assert log.parent.is_dir()
    assert log.parent.stat().st_mode & 0o777 == 0o750


def test_a_log_that_a_person_empties_is_read_on_from_there(desk: Desk) -> None:
    log = desk.log()
    append(log, lines(0, 1500))
    desk.look()
    os.truncate(log, 0)
    append(log, lines(1500, 1600))
    desk.look()
    assert all_of(log).endswith(lines(1500, 1600))
    append(log, lines(1600, 3600))
    desk.look()
    assert all_of(log).endswith(lines(1500, 3600))


def test_what_is_left_to_do_is_done_before_anything_new(tmp_path: Path) -> None:
    """A record that cannot be written stops rotation: with an old one nobody could tell."""
    log = tmp_path / "web.log"
    append(log, lines(0, 4000))
    stream = Stream(log)
    blocker = record_path(log).with_name(f"{record_path(log).name}.new")
    blocker.mkdir()
    for _ in range(3):
        with pytest.raises(OSError, match="directory"), rotate.live_file(stream) as fd:
            rotate.cut(stream, fd, 65536, 0.0)
    assert len(stream.archives) == 1
    assert all_of(log) == lines(0, 4000)
    blocker.rmdir()
    with rotate.live_file(stream) as fd:
        rotate.cut(stream, fd, 65536, 0.0)
    assert len(stream.archives) == 2
    assert all_of(log) == lines(0, 4000)
