"""Bugs planted into rotation, each of which the tests of rotation would have to catch."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.logs.disks import disk
from tests.logs.test_rotation import all_of, append, by_hand, lines

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Planted:
    """One wrong line in a module of rotation, and where a kill brings it to light."""

    name: str
    module: str
    before: str
    after: str
    point: str


PLANTED = [
    Planted(
        "takes the size for proof of a collapse",
        "stream",
        "record.is_collapsing and fallocate.first_data(fd, 0) == 0",
        "record.is_collapsing and size < record.seen",
        "rotate.collapsed",
    ),
    Planted(
        "collapses without having announced it",
        "rotate",
        "    _write(stream, is_collapsing=may_collapse)\n",
        "    stream.record = replace(_known(stream), is_collapsing=may_collapse)\n",
        "rotate.collapsed",
    ),
    Planted(
        "does not write down that it has collapsed",
        "rotate",
        "    if may_collapse:\n        _write(stream, is_collapsing=False)\n",
        "    stream.record = replace(_known(stream), is_collapsing=False)\n",
        "rotate.synced@2",
    ),
    Planted(
        "makes the hole a block too large",
        "rotate",
        "_advance(stream, record, archive, head=end,",
        "_advance(stream, record, archive, head=end + block,",
        "rotate.settled",
    ),
    Planted(
        "keeps offsets as they were though the bytes have moved",
        "rotate",
        "replace(record, shift=record.start, head=0, seen=size)",
        "replace(record, head=0, seen=size)",
        "rotate.settled",
    ),
]


def copied(folder: Path) -> Path:
    """Give a copy of the program, and of the one that rotates for tests."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "reconciler", folder / "reconciler", ignore=ignore)
    (folder / "tests" / "logs").mkdir(parents=True)
    shutil.copy(ROOT / "tests/logs/rotating.py", folder / "tests/logs/rotating.py")
    return folder


def run(program: Path, log: Path, point: str = "") -> int:
    struck = log.parent / "struck"
    struck.mkdir(exist_ok=True)
    env = {
        **os.environ,
        "WEAVER_FAILPOINT": f"{point}:kill" if point else "",
        "WEAVER_FAILPOINT_DIR": str(struck),
    }
    command = [sys.executable, str(program / "tests/logs/rotating.py"), "keep"]
    words = [*command, "65536", "99", "no", "1", str(log)]
    return subprocess.run(words, env=env, check=False, stderr=subprocess.DEVNULL).returncode


def is_sound(program: Path, folder: Path, point: str) -> bool:
    """Tell whether every line is there once after a rotation, one that is killed, and another."""
    log = folder / "web.log"
    append(log, lines(0, 1500))
    first = run(program, log)
    append(log, lines(1500, 4500))
    killed = run(program, log, point)
    append(log, lines(4500, 8000))
    last = run(program, log)
    if (first, killed, last) != (0, -signal.SIGKILL if point else 0, 0):
        return False
    return all_of(log) == lines(0, 8000) == by_hand(log)


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.name)
def test_a_bug_that_was_planted_into_rotation_is_caught(bug: Planted, tmp_path: Path) -> None:
    program = copied(tmp_path / "program")
    module = program / f"reconciler/adapters/logs/{bug.module}.py"
    text = module.read_text("utf-8")
    assert text.count(bug.before) == 1
    module.write_text(text.replace(bug.before, bug.after), "utf-8")
    with disk("collapses", tmp_path / "disk") as folder:
        assert not is_sound(program, folder, bug.point)


def test_without_a_planted_bug_all_is_sound(tmp_path: Path) -> None:
    with disk("collapses", tmp_path / "disk") as disk_folder:
        for point in sorted({bug.point for bug in PLANTED}):
            folder = disk_folder / point
            folder.mkdir()
            assert is_sound(ROOT, folder, point), point
