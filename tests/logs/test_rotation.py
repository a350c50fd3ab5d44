"""Rotation of logs: no line lost, none doubled, wherever it is killed and on whatever disk."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.adapters.logs.stream import Stream
from tests.logs import rotating
from tests.logs.disks import DISKS, disk

ROOT = Path(__file__).parents[2]
POINTS = sorted(
    {
        name
        for path in (ROOT / "reconciler/adapters/logs").glob("*.py")
        for name in re.findall(r'failpoint\("(rotate\.[\w.-]+)"\)', path.read_text("utf-8"))
    }
)
WITH_HOLES = {"rotate.punched", "rotate.synced", "rotate.recorded", "rotate.settled"}
COLLAPSING = {"rotate.collapsed", "rotate.collapse-synced"}
EMPTYING = {"rotate.truncating", "rotate.truncated"}


STEPS = [
    (kind, point)
    for kind in DISKS
    for point in POINTS
    if not (point in COLLAPSING and kind != "collapses")
    and not (point in EMPTYING and kind != "empties")
    and not (point in {*WITH_HOLES, "rotate.pruned"} and kind == "empties")
]


@pytest.fixture(params=DISKS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with disk(request.param, tmp_path / "disk") as found:
        yield found


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
    known = re.compile(rf"{log.name}(\.\d{{15}}(\.gz)?)?|\.{log.name}\.rotation")
    return [path.name for path in log.parent.iterdir() if not known.fullmatch(path.name)]


def rotate(log: Path, *, files: int = 100, compress: str = "yes", rounds: int = 3) -> None:
    """Look at a log some times, as a daemon that has just begun."""
    rotating.main(str(log), "65536", str(files), compress, str(rounds))


def killed_at(point: str, struck: Path, log: Path, files: int) -> int:
    """Rotate in a process of its own that dies at a point; give how it ended."""
    struck.mkdir()
    env = {
        **os.environ,
        "WEAVER_FAILPOINT": f"{point}:kill",
        "WEAVER_FAILPOINT_DIR": str(struck),
    }
    command = [sys.executable, rotating.__file__, str(log), "65536", str(files), "yes", "3"]
    return subprocess.run(command, env=env, check=False).returncode


@pytest.mark.parametrize(("kind", "point"), STEPS)
def test_a_kill_at_any_step_of_a_rotation_neither_loses_nor_doubles_a_line(
    kind: str, point: str, tmp_path: Path
) -> None:
    is_pruning = point == "rotate.pruned"
    with disk(kind, tmp_path / "disk") as folder:
        log = folder / "web.log"
        append(log, lines(0, 4000))
        files = 2 if is_pruning else 100
        assert killed_at(point, tmp_path / "struck", log, files) == -signal.SIGKILL
        append(log, lines(4000, 4500))
        first = 1700 if is_pruning else 0
        assert all_of(log)[-58 * (4500 - first) :] == lines(first, 4500)
        append(log, lines(4500, 8000))
        rotate(log)
        assert all_of(log)[-58 * (8000 - first) :] == lines(first, 8000)
        assert by_hand(log) == all_of(log)
        assert leavings(log) == []
