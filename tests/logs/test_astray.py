"""People who delete, move and empty logs, and what is said of it."""

from __future__ import annotations

import os
import shutil
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
from tests.logs import rotating
from tests.logs.desk import Desk
from tests.logs.disks import DISKS, disk
from tests.logs.test_rotation import all_of, append, leavings, lines
from tests.waiting import until


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


def test_v21_a_rotated_log_that_was_deleted_while_no_daemon_ran_is_copied_from_its_record_on(
    desk: Desk, writer: subprocess.Popen[bytes]
) -> None:
    log = Path(desk.sources[0].path)
    desk.keeper.own_folder = desk.folder.parent
    say(writer, 0, 3000)
    desk.look()
    record = read_record(log)
    assert record is not None
    assert record.start > 0
    desk.keeper.close()
    log.unlink()
    say(writer, 3000, 3100)
    desk.keeper = Keeper(Streams(), lambda: desk.at, desk.folder.parent)
    desk.look()
    assert all_of(log) == lines(3000, 3100)


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


@pytest.mark.parametrize("kind", DISKS)
@pytest.mark.parametrize("blow", ["kill", "raise"])
def test_v21_a_daemon_struck_while_it_copies_a_deleted_log_loses_and_doubles_no_line(
    kind: str, blow: str, tmp_path: Path
) -> None:
    """One that is killed may not have noted how far the old one was known: all of it is there."""
    points = rotating.points("rescue")
    assert points
    program = [sys.executable, rotating.__file__, "rescue"]
    with disk(kind, tmp_path / "disk") as folder:
        for point in points:
            (folder / point / "struck").mkdir(parents=True)
        said = subprocess.run([*program, folder, blow, *points], stdout=subprocess.PIPE, check=True)
        code = {"kill": -9, "raise": 0}[blow]
        assert said.stdout.decode().splitlines() == [f"{point} {code} True" for point in points]
        for point in points:
            found = all_of(folder / point / "web.log").splitlines()
            first = int(found[0])
            assert first in ((100,) if blow == "raise" else (0, 100)), point
            assert [*map(int, found)] == [*range(first, 400)], point
            assert leavings(folder / point / "web.log") == [], point
