"""Logs on disks that are full or broken, and floods of them: nothing is half done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.adapters.logs import gzip_child, packing
from reconciler.adapters.logs.room import free_bytes
from tests.logs.desk import FULL, Desk
from tests.logs.disks import disk, mounted
from tests.logs.rotating import source_of
from tests.logs.test_rotation import all_of, append, leavings, lines
from tests.small_disk import fill, fill_inodes
from tests.waiting import until


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
