"""Find processes that bear our mark and that no daemon knows."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A process that Weaver started once, or a child of one."""

    pid: int
    service: str
    run: str
    """The random mark of the start that it, or its parent, came from."""
    command: str
    cwd: str


def marked(proc: Path = PROC) -> Iterator[Marked]:
    """Give every process whose environment we may read and that bears our mark."""
    for entry in sorted((e for e in proc.iterdir() if e.name.isdigit()), key=lambda e: int(e.name)):
        try:
            found = _read(entry)
        except OSError:
            continue
        if found is not None:
            yield found


def unknown(processes: Collection[Marked], known_pids: Collection[int]) -> list[Marked]:
    """Leave out each start of which a daemon knows some process.

    >>> web = Marked(pid=7, service="web", run="a", command="web", cwd="/")
    >>> child = Marked(pid=8, service="web", run="a", command="sh", cwd="/")
    >>> stray = Marked(pid=9, service="old", run="b", command="old", cwd="/")
    >>> [found.pid for found in unknown([web, child, stray], known_pids=[7])]
    [9]
    """
    known = {process.run for process in processes if process.pid in known_pids}
    return [process for process in processes if process.run not in known]


def _read(entry: Path) -> Marked | None:
    """Read one process; None where it bears no mark."""
    pairs = entry.joinpath("environ").read_bytes().split(b"\0")
    env = dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)
    run = env.get(b"WEAVER_RUN")
    if not run:
        return None
    words = entry.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    return Marked(
        pid=int(entry.name),
        service=os.fsdecode(env.get(b"WEAVER_SERVICE", b"")),
        run=os.fsdecode(run),
        command=os.fsdecode(b" ".join(words)),
        cwd=str(entry.joinpath("cwd").readlink()),
    )
