"""Rotation of logs: no line lost, none doubled, wherever it is killed and on whatever disk."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.adapters.logs.stream import Stream
from tests import settings
from tests.logs import rotating
from tests.logs.disks import DISKS, disk
from tests.logs.rotating import PACKING

POINTS = rotating.points("rotate")
WITH_HOLES = {"rotate.punched", "rotate.synced", "rotate.recorded", "rotate.settled"}
COLLAPSING = {"rotate.collapsed", "rotate.collapse-synced"}
EMPTYING = {"rotate.truncating", "rotate.truncated"}


def points_of(kind: str) -> list[str]:
    """Give the points that a rotation passes on a kind of disk."""
    others = {
        "collapses": EMPTYING,
        "punches": EMPTYING | COLLAPSING,
        "empties": COLLAPSING | WITH_HOLES | {"rotate.pruned"},
    }
    return [point for point in POINTS if point not in others[kind]]


def lines(first: int, last: int) -> bytes:
    return b"".join(
        b"%07d some words of a service that has something to say\n" % n for n in range(first, last)
    )


def append(log: Path, data: bytes) -> None:
    with log.open("ab", buffering=0) as file:
        file.write(data)


def all_of(log: Path) -> bytes:
    """Read a log as `weaver logs` does, by a reader that has just begun."""
    with Stream(log).reading() as found:
        return found.read(1 << 30, found.start)


def by_hand(log: Path) -> bytes:
    """Put the files together as a person would: `zcat -f LOG.0* LOG`, without what is a hole."""
    parts = [
        gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for path in sorted(log.parent.glob(f"{log.name}.0*"))
    ]
    return b"".join([*parts, log.read_bytes().lstrip(b"\0")])


def leavings(log: Path) -> list[str]:
    """Give the files beside a log that are neither it, nor rotated, nor the record."""
    known = re.compile(rf"{log.name}(\.\d{{15}}(\.gz)?)?|\.{log.name}\.rotation|struck")
    return [path.name for path in log.parent.iterdir() if not known.fullmatch(path.name)]


def rotate(log: Path, *, files: int = 100, compress: str = "yes", rounds: int = 3) -> None:
    """Look at a log some times, as a daemon that has just begun."""
    rotating.keep("65536", str(files), compress, str(rounds), str(log))


@contextmanager
def rotator(setting: str) -> Iterator[Callable[..., list[str]]]:
    """Give what rotates as it is told to, and says what came of it, in a process in a setting."""
    command = settings.command(setting, [sys.executable, rotating.__file__, "listen"])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None
        assert told is not None

        def ask(*words: object) -> list[str]:
            asked.write(" ".join(map(str, words)) + "\n")
            said: list[str] = []
            while (line := told.readline()) != "done\n":
                assert line, f"it ended after {said}"
                said.append(line.strip())
            return said

        yield ask
        asked.close()
        assert process.wait(10) == 0


def fresh_log(folder: Path, point: str) -> Path:
    """Give an empty log in a folder of its own, which belong to whoever the disk belongs to."""
    log = folder / point / "web.log"
    made = [log.parent, log.parent / "struck", log]
    for path in made[:2]:
        path.mkdir()
    log.touch()
    for path in made:
        os.chown(path, folder.stat().st_uid, folder.stat().st_gid)
    return log


@pytest.mark.parametrize("setting", settings.SETTINGS)
@pytest.mark.parametrize("kind", DISKS)
def test_l4_a_kill_at_any_step_of_a_rotation_neither_loses_nor_doubles_a_line(
    kind: str, setting: str, tmp_path: Path
) -> None:
    points = points_of(kind)
    with (
        settings.place(setting, tmp_path) as root,
        disk(kind, root / "disk") as folder,
        rotator(setting) as ask,
    ):
        os.chown(folder, root.stat().st_uid, root.stat().st_gid)
        logs = {point: fresh_log(folder, point) for point in points}
        for log in logs.values():
            append(log, lines(0, 2000))
        assert ask("kill", 32768, folder, *points) == [f"{point} -9" for point in points]
        firsts = {point: 850 if point == "rotate.pruned" else 0 for point in points}
        for point, log in logs.items():
            append(log, lines(2000, 2300))
            assert all_of(log)[-58 * (2300 - firsts[point]) :] == lines(firsts[point], 2300), point
            append(log, lines(2300, 3000))
        for is_packing, compress in ((True, "yes"), (False, "no")):
            chosen = [logs[point] for point in points if (point in PACKING) == is_packing]
            assert ask("keep", 32768, 100, compress, 3, *chosen) == []
        for point, log in logs.items():
            assert all_of(log)[-58 * (3000 - firsts[point]) :] == lines(firsts[point], 3000), point
            assert by_hand(log) == all_of(log), point
            assert leavings(log) == [], point


def test_l4_a_file_that_is_compressed_while_it_is_looked_for_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "web.log"
    append(log, lines(0, 5000))
    rotate(log, compress="no")
    names = sorted(path.name for path in tmp_path.glob("web.log.0*"))
    assert len(names) > 1
    listdir, late = os.listdir, [lambda: rotate(log, rounds=5)]

    def listed_too_early(folder: Path) -> list[str]:
        found = listdir(folder)
        while late:
            late.pop()()
        return found

    monkeypatch.setattr(os, "listdir", listed_too_early)
    assert all_of(log) == lines(0, 5000)
    assert sorted(path.name for path in tmp_path.glob("web.log.0*")) != names


def test_l4_a_file_that_a_listing_missed_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may leave out what goes by another name while a large folder is listed."""
    log = tmp_path / "web.log"
    append(log, lines(0, 9000))
    rotate(log, compress="no")
    listdir, missed = os.listdir, [sorted(tmp_path.glob("web.log.0*"))[1].name]

    def listed_in_part(folder: Path) -> list[str]:
        hidden = missed.pop() if missed else ""
        return [name for name in listdir(folder) if name != hidden]

    monkeypatch.setattr(os, "listdir", listed_in_part)
    assert all_of(log) == lines(0, 9000)
    assert missed == []
