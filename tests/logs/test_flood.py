"""A service that floods its log while that is rotated, read, followed, and rotation is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from reconciler.adapters.logs.files import LogFiles
from reconciler.adapters.logs.stream import Stream
from reconciler.model.log import LogLine, LogQuery, LogRotation
from tests import settings
from tests.logs import rotating
from tests.logs.disks import disk
from tests.logs.test_rotation import all_of, by_hand, leavings, rotate
from tests.logs.writing import WallClock
from tests.waiting import until

LINES = int(os.environ.get("FLOOD_LINES", "20000"))
"""1000000 for the whole thing."""
LINE = "%09d INFO something that a service has to say about request 0123456789abcdef, and why\n"
WRITER = f"""
import os, time
for first in range(0, {LINES}, 100):
    os.write(1, b"".join(b{LINE!r} % n for n in range(first, first + 100)))
    time.sleep(0.001)
"""


def flood(log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen([sys.executable, "-c", WRITER], stdout=output)


def numbers(data: bytes) -> list[int]:
    return [int(line[:9]) for line in data.splitlines()]


@pytest.mark.real
@pytest.mark.parametrize(
    ("kind", "setting"),
    [("collapses", "v2"), ("punches", "v1"), ("collapses", "none"), ("punches", "user")],
)
def test_l1_of_a_flood_no_line_is_lost_or_doubled_though_rotation_is_killed_again_and_again(
    kind: str, setting: str, tmp_path: Path
) -> None:
    luck = random.Random(7)
    with settings.place(setting, tmp_path) as root, disk(kind, root / "disk", "400m") as folder:
        log = folder / "web.log"
        service = flood(log)
        for path in (folder, log):
            os.chown(path, root.stat().st_uid, root.stat().st_gid)
        kills = 0
        while service.poll() is None or kills < 3:
            words = ["keep", "65536", "9999", "yes", "9999", str(log)]
            command = [sys.executable, rotating.__file__, *words]
            keeper = subprocess.Popen(settings.command(setting, command))
            with suppress(subprocess.TimeoutExpired):
                keeper.wait(timeout=0.2 + luck.random() * 0.2)
            keeper.send_signal(signal.SIGKILL)
            assert keeper.wait() == -signal.SIGKILL
            kills += 1
            if kills & (kills - 1) == 0:
                whole = all_of(log).rpartition(b"\n")[0]
                assert numbers(whole) == list(range(whole.count(b"\n") + bool(whole)))
        rotate(log, files=9999)
        assert numbers(all_of(log)) == list(range(LINES))
        assert by_hand(log) == all_of(log)
        assert leavings(log) == []
        assert len(list(folder.glob("web.log.0*"))) > 5


@pytest.mark.real
def test_followers_see_each_line_once_while_it_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.touch()
    files = LogFiles(tmp_path, tmp_path / "daemon.log", WallClock())
    source = rotating.source_of(log, LogRotation(max_size=65536, max_files=9999))
    seen: list[LogLine] = []

    async def follow() -> None:
        query = LogQuery(follow=True, lines=0)
        async for line in files.read(query, lambda: [source]):
            seen.append(line)
            if len(seen) == LINES:
                return

    async def keep() -> None:
        for pid in count(1 << 30):
            # A new run is looked at at once, whenever the last look was.
            await asyncio.to_thread(files.look, [replace(source, pid=pid)])
            await asyncio.to_thread(files.keep)
            await asyncio.sleep(0.01)

    async def story() -> None:
        keeping = asyncio.create_task(keep())
        following = asyncio.create_task(follow())
        await asyncio.sleep(0.05)
        service = flood(log)
        async with asyncio.timeout(120):
            await following
        keeping.cancel()
        service.wait()

    asyncio.run(story())
    assert [int(line.raw[:9]) for line in seen] == list(range(LINES))
    assert len(list(tmp_path.glob("web.log.0*"))) > 5
    files.close()


@pytest.mark.real
def test_what_was_written_since_a_position_is_found_after_rotation(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    files = LogFiles(tmp_path, tmp_path / "daemon.log", WallClock())
    source = rotating.source_of(log, LogRotation(max_size=65536, max_files=9999))
    log.write_bytes(b"before\n")
    position = files.position(source)
    assert position == 7
    with log.open("ab") as output:
        output.write(b"".join(b"%09d\n" % n for n in range(40_000)))
    files.look([source])
    until(lambda: files.keep().pause_s and len(list(tmp_path.glob("*.gz"))) >= 5)
    found = b""
    while True:
        part, position = files.written(source, position, 8192)
        if not part:
            break
        found += part
    assert found == b"".join(b"%09d\n" % n for n in range(40_000))
    assert position == files.position(source) == Stream(log).extent().end  # type: ignore[union-attr]  # it is there
    files.close()
