"""A program for tests: rotates logs again and again, as a daemon does.

python rotating.py keep MAX_SIZE MAX_FILES COMPRESS ROUNDS LOG...
python rotating.py kill MAX_SIZE FOLDER POINT...    rotates POINT/web.log and dies there, each
python rotating.py rescue FOLDER BLOW POINT...      deletes POINT/web.log and is struck there, each
python rotating.py listen                           does what it reads, a line each
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from reconciler import failpoints
from reconciler.adapters.logs.keeper import Keeper
from reconciler.adapters.logs.stream import Streams
from reconciler.model.log import LogRotation, LogSource
from reconciler.model.units import ServiceName
from tests.waiting import until

PACKING = ("rotate.packed", "rotate.packed-alone")
"""The points at which something must be compressed."""


def points(deed: str) -> list[str]:
    """Give the points of logs whose names begin so."""
    folder = Path(__file__).parents[2] / "reconciler/adapters/logs"
    found = re.compile(rf'failpoint\("({deed}\.[\w.-]+)"\)')
    return sorted(
        {name for path in folder.glob("*.py") for name in found.findall(path.read_text())}
    )


def source_of(log: Path, rotation: LogRotation) -> LogSource:
    """Give a source of a log."""
    name = ServiceName(log.stem)
    return LogSource(service=name, index=0, instance=f"{name}-0", path=str(log), rotation=rotation)


def keep(max_size: str, max_files: str, compress: str, rounds: str, *logs: str) -> None:
    """Look so often, until what is there is rotated and compressed."""
    rotation = LogRotation(
        max_size=int(max_size), max_files=int(max_files), compress=compress == "yes"
    )
    keeper = Keeper(Streams(), time.time, Path(logs[0]).parent)
    keeper.attend([source_of(Path(log), rotation) for log in logs])
    pause = threading.Event()
    left = int(rounds)
    while left > 0 or keeper.packer.is_busy:
        keeper.look(at_all=True)
        left -= 1
        pause.wait(0.002)
    for news in keeper.news():
        sys.stdout.write(f"{news.kind} {news.reason} {dict(news.data)}\n")


def kill(max_size: str, folder: str, *points: str) -> None:
    """Rotate a log for each point in a process that dies there, and say how that ended."""
    for point in points:
        place = Path(folder) / point
        child = os.fork()
        if not child:
            failpoints.arm(f"{point}:kill", str(place / "struck"))
            files = "2" if point == "rotate.pruned" else "100"
            compress = "yes" if point in PACKING else "no"
            keep(max_size, files, compress, "3", str(place / "web.log"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{point} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def rescue(folder: str, blow: str, *points: str) -> None:
    """Delete a log under its service, be struck as what comes is copied, and look on."""
    for point in points:
        log = Path(folder) / point / "web.log"
        with log.open("ab", buffering=0) as output:
            service = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output, bufsize=0)
        source = replace(source_of(log, LogRotation(max_size=1 << 20)), pid=service.pid)

        def keeper(source: LogSource = source) -> Keeper:
            made = Keeper(Streams(), time.time, Path(folder))
            made.attend([source])
            return made

        child = os.fork()
        if not child:
            struck = keeper()
            _say(service, 0, 100)
            struck.look(at_all=True)
            log.unlink()
            _say(service, 100, 200)
            failpoints.arm(f"{point}:{blow}", str(log.parent / "struck"))
            for _ in range(3):
                struck.look(at_all=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        later = keeper()
        for first in (200, 300):
            _say(service, first, first + 100)
            later.look(at_all=True)
        is_copied = "copied into a new one" in "".join(later.troubles())
        later.close()
        service.kill()
        service.wait()
        sys.stdout.write(f"{point} {os.waitstatus_to_exitcode(status)} {is_copied}\n")
        sys.stdout.flush()


def _say(service: subprocess.Popen[bytes], first: int, last: int) -> None:
    """Have a service write numbered lines, and wait until it has."""
    output = Path(f"/proc/{service.pid}/fd/1")
    text = b"".join(b"%07d\n" % number for number in range(first, last))
    size = output.stat().st_size + len(text)
    assert service.stdin is not None
    service.stdin.write(text)
    until(lambda: output.stat().st_size == size)


def listen() -> None:
    """Do what is asked for, and say when it is done."""
    for line in sys.stdin:
        do(*line.split())
        sys.stdout.write("done\n")
        sys.stdout.flush()


def do(what: str, *words: str) -> None:
    """Do one thing."""
    deeds: dict[str, Callable[..., None]] = {"keep": keep, "kill": kill, "listen": listen}
    deeds["rescue"] = rescue
    deeds[what](*words)


if __name__ == "__main__":
    do(*sys.argv[1:])
