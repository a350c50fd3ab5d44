"""The daemon's own log: private, bounded, and never in the way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.adapters import daemon_log
from reconciler.adapters.daemon_log import LineFormat, LogFile
from tests.small_disk import fill, small_disk


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[LogFile]:
    handler = LogFile(tmp_path / "state" / "daemon.log")
    handler.setFormatter(LineFormat())
    yield handler
    handler.close()


@pytest.fixture
def log(handler: LogFile) -> Iterator[logging.Logger]:
    log = logging.getLogger("reconciler.runtime.daemon")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield log
    log.setLevel(logging.NOTSET)
    log.removeHandler(handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "daemon.log"


def test_an_entry_is_a_line_with_time_level_and_origin(log: logging.Logger, path: Path) -> None:
    log.warning("cannot start %s: %s", "web", "no\nsuch \x1b[31mfile")
    stamp, rest = path.read_text().split(" ", 1)
    assert rest == r"WARNING runtime.daemon: cannot start web: no\nsuch \x1b[31mfile" + "\n"
    assert len(stamp) == len("2026-11-22T15:54:00.123Z")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_traceback_follows_indented(log: logging.Logger, path: Path) -> None:
    try:
        int("bad")
    except ValueError:
        log.exception("the loop failed")
    first, *rest = path.read_text().splitlines()
    assert first.endswith("ERROR runtime.daemon: the loop failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: invalid literal for int() with base 10: 'bad'"


def test_it_is_rotated_by_size_and_the_oldest_goes(
    log: logging.Logger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_log, "SIZE_MAX", 1000)
    for number in range(200):
        log.info("entry %03d %s", number, "x" * 60)
    names = sorted(found.name for found in path.parent.iterdir())
    assert names == ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"]
    assert all(found.stat().st_size <= 1000 for found in path.parent.iterdir())
    kept = "".join((path.parent / name).read_text() for name in [*names[:0:-1], names[0]])
    numbers = [int(line.split("entry ")[1][:3]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 200))


def test_a_long_entry_is_cut(log: logging.Logger, path: Path) -> None:
    log.info("x" * 100_000)
    assert path.stat().st_size == daemon_log.LINE_MAX + 1


def test_a_file_that_was_deleted_is_made_again(log: logging.Logger, path: Path) -> None:
    """R15."""
    log.info("one")
    path.unlink()
    path.parent.rmdir()
    log.info("two")
    assert path.read_text().endswith("two\n")


def test_a_link_in_its_place_is_not_written_through(
    log: logging.Logger, path: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.parent.mkdir()
    path.symlink_to(victim)
    log.info("one")
    assert victim.read_text() == "precious"


@pytest.mark.real
def test_a_full_disk_costs_entries_and_says_how_many(log: logging.Logger, path: Path) -> None:
    """R1."""
    with small_disk(path.parent, "64k") as disk:
        log.info("the file is there")
        filler = fill(disk)
        for _ in range(100):
            log.info("x" * 1000)
        filler.unlink()
        log.info("there is room again")
        last = path.read_text().splitlines()[-2:]
        assert last[0].endswith(" entries were lost: the disk was full")
        assert last[1].endswith("there is room again")


def test_opening_it_sends_everything_there(path: Path) -> None:
    root = logging.getLogger()
    before = root.level
    handler = daemon_log.open_log(path)
    try:
        logging.getLogger("reconciler.app").info("hello")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        handler.close()
    assert path.read_text().endswith("INFO app: hello\n")
