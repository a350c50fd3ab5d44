"""What is rotated when, what is kept, and what is said when something is wrong with a log."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.adapters.logs import gzip_child, packing, rotate
from reconciler.adapters.logs.keeper import Keeper
from reconciler.adapters.logs.record import read_record, record_path
from reconciler.adapters.logs.room import free_bytes
from reconciler.adapters.logs.stream import Stream, Streams
from reconciler.model.log import LogSource
from reconciler.model.spec import LogRotation
from reconciler.model.units import Nanos, seconds
from tests.logs.disks import disk, mounted
from tests.logs.rotating import source_of
from tests.logs.test_rotation import all_of, append, leavings, lines
from tests.logs.writing import START, Folder
from tests.small_disk import fill, fill_inodes
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


def test_r2_on_a_full_disk_the_oldest_rotated_files_go_first(tmp_path: Path) -> None:
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


def test_l5_on_a_disk_that_others_filled_nothing_is_half_done(tmp_path: Path) -> None:
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


def test_r2_a_log_that_fills_its_disk_before_it_is_rotated_loses_its_oldest_lines(
    tmp_path: Path,
) -> None:
    """Nothing could be copied any more, and no rotated file is there to go."""
    with mounted("tmpfs", tmp_path / "disk", "1m") as folder:
        desk = Desk(folder)
        log = desk.log(replace(FULL, max_files=100))
        filler = fill(folder)
        size = filler.stat().st_size
        filler.unlink()
        log.write_bytes(os.urandom(size))
        before = log.read_bytes()
        desk.look()
        assert before.endswith(all_of(log))
        assert 65536 <= len(all_of(log)) < 2 * 65536 + 4096
        assert any("the oldest lines of web-0 were removed" in text for _, text in desk.told())
        append(log, lines(0, 4000))
        desk.look()
        assert len(desk.rotated()) >= 3
        assert leavings(log) == []


def test_r4_where_no_file_can_be_made_any_more_nothing_is_half_done(tmp_path: Path) -> None:
    """There are bytes left, and no inodes."""
    with mounted("tmpfs", tmp_path / "disk", "4m,nr_inodes=8") as folder:
        desk = Desk(folder)
        log = desk.log()
        append(log, lines(0, 1500))
        fillers = fill_inodes(folder)
        desk.look()
        assert (desk.rotated(), all_of(log)) == ([], lines(0, 1500))
        assert "no space left on device" in desk.keeper.troubles()[0]
        for filler in fillers:
            filler.unlink()
        desk.sources = [replace(desk.sources[0], pid=1)]
        desk.look()
        assert (len(desk.rotated()), all_of(log)) == (1, lines(0, 1500))


@pytest.mark.parametrize("good", range(5))
def test_r6_a_disk_that_does_not_keep_what_it_took_costs_no_line(
    desk: Desk, good: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO, after all was well so many times: what is not surely on disk is not cut off."""
    log, left, sync = desk.log(), iter(range(good)), os.fsync

    def failing(fd: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    append(log, lines(0, 4000))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        desk.look()
        assert all_of(log) == lines(0, 4000)
        assert "input/output error" in desk.told()[0][1]
    desk.sources = [replace(desk.sources[0], pid=1)]
    desk.look()
    assert (len(desk.rotated()), all_of(log)) == (3, lines(0, 4000))
    assert leavings(log) == []


def test_l2_two_hundred_logs_that_are_flooded_at_once_are_kept_in_little_memory(
    tmp_path: Path,
) -> None:
    with disk("punches", tmp_path / "disk", "400m") as folder:
        desk = Desk(folder)
        logs = [desk.log(path=folder / f"s{number}.log") for number in range(200)]
        written = lines(0, 1300)
        for log in logs:
            append(log, written)
        desk.look()
        tracemalloc.start()
        try:
            for log in logs:
                append(log, written)
            desk.look()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 5_000_000, "a third of what was written"
        assert all(all_of(log) == written + written for log in logs[::20])
        assert len(desk.rotated()) == 400


def test_l10_of_thousands_of_rotated_files_only_its_own_go(desk: Desk) -> None:
    log = desk.log()
    own = [log.with_name(f"{log.name}.{number:015}") for number in range(3000)]
    names = ["1", "00000000000000x", "000000000000001.bz2", "0000000000000001", "old"]
    others = [log.with_name(f"{log.name}.{name}") for name in names]
    others += [log.with_name("other.log.000000000000001"), log.with_name("web.logs")]
    for path in [log, *own, *others]:
        path.write_bytes(b"x")
    desk.look()
    assert [path for path in own if path.exists()] == own[-3:]
    assert all(path.exists() for path in others)


CUT_SHORT = "import os, signal; os.write(1, os.read(0, 999)); os.kill(os.getpid(), signal.SIGKILL)"


def test_l11_a_compression_that_is_killed_leaves_the_file_as_it_was_and_is_done_later(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = desk.log(replace(FULL, compress=True))
    append(log, lines(0, 2000))
    with monkeypatch.context() as patch:
        (tmp_path / "gzip.py").write_text(CUT_SHORT)
        patch.setattr(gzip_child, "__file__", str(tmp_path / "gzip.py"))
        until(lambda: not (desk.look() and desk.keeper.packer.is_busy))
    assert (len(desk.rotated()), all_of(log)) == (1, lines(0, 2000))
    assert leavings(log) == ["gzip.py"]
    desk.look()
    assert not desk.keeper.packer.is_busy, "it is tried again at once"
    later = time.monotonic() + packing.AGAIN_S
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: later)
        desk.look()
    until(lambda: desk.look() and all(name.endswith(".gz") for name in desk.rotated()))
    assert all_of(log) == lines(0, 2000)


def test_l11_nothing_is_compressed_that_the_disk_may_have_no_room_for(tmp_path: Path) -> None:
    """It would be the last drop, and cost the oldest lines."""
    with mounted("tmpfs", tmp_path / "disk", "1m") as folder:
        desk = Desk(folder)
        log = desk.log()
        append(log, written := os.urandom(100_000))
        desk.look()
        desk.sources = [source_of(log, replace(FULL, compress=True))]
        filler = folder / "filler"
        filler.write_bytes(b"x" * (free_bytes(folder)[0] - 30_000))
        desk.look()
        assert not desk.keeper.packer.is_busy
        filler.unlink()
        until(lambda: desk.look() and all(name.endswith(".gz") for name in desk.rotated()))
        assert (len(desk.rotated()), all_of(log)) == (1, written)


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


def test_v21_a_log_that_was_deleted_is_noticed_and_the_mend_is_told(
    desk: Desk, writer: subprocess.Popen[bytes]
) -> None:
    """In a folder that is not ours: no file is made there."""
    log = Path(desk.sources[0].path)
    desk.keeper.own_folder = desk.folder / "other"
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


def say(writer: subprocess.Popen[bytes], first: int, last: int) -> None:
    """Have a service write, and wait until it has."""
    output = Path(f"/proc/{writer.pid}/fd/1")
    size = output.stat().st_size + 58 * (last - first)
    assert writer.stdin is not None
    writer.stdin.write(lines(first, last))
    until(lambda: output.stat().st_size == size)


@pytest.mark.parametrize("with_folder", [False, True])
def test_v21_what_comes_to_a_log_after_it_was_deleted_is_in_the_new_one_once(
    desk: Desk, writer: subprocess.Popen[bytes], *, with_folder: bool
) -> None:
    """Whoever is the daemon by then; it is rotated, and the old file takes up no room."""
    desk.keeper.own_folder = desk.folder.parent
    log = Path(desk.sources[0].path)
    say(writer, 0, 100)
    desk.look()
    shutil.rmtree(log.parent) if with_folder else log.unlink()
    say(writer, 100, 200)
    desk.look()
    assert "copied into a new one, until `weaver restart web`" in desk.told()[0][1]
    assert all_of(log) == lines(100, 200)
    say(writer, 200, 3000)
    desk.look()
    assert Path(f"/proc/{writer.pid}/fd/1").stat().st_blocks * 512 < 30_000

    killed, desk.keeper = desk.keeper, Keeper(Streams(), lambda: desk.at, desk.folder.parent)
    say(writer, 3000, 3100)
    desk.look()
    assert all_of(log) == lines(100, 3100)
    assert len(desk.rotated()) == 2

    say(writer, 3100, 3200)
    writer.kill()  # what comes next has the new log
    append(log, lines(3200, 3300))
    desk.sources = [replace(desk.sources[0], pid=None)]
    desk.look()
    assert sorted(all_of(log).splitlines()) == lines(100, 3300).splitlines()
    assert desk.keeper.troubles() == ()
    killed.close()


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


def test_r15_a_folder_of_ours_that_was_deleted_is_made_again(desk: Desk) -> None:
    """R15."""
    log = desk.log(path=desk.folder / "web" / "0.log")
    desk.look()
    assert not log.parent.exists(), "nobody writes there"
    desk.sources = [replace(desk.sources[0], pid=1)]
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
