"""A million lines of log from one service: what they cost the manager, and whether all are kept."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import LOGGING
from benchmarks.processes import children, cpu_time_s, ended_children_s, until
from benchmarks.report import Beside, Row, time_text
from benchmarks.supervisors import Supervisor, Weaver

LINES = 1_000_000
LINE_BYTES = 100
CALM_S = 1.0
LIMIT_S = 120.0
SCRIPT = f"""\
echo begins
seq -f '%0{LINE_BYTES - 1}.0f' 1 {LINES}
exec sleep "$@"
"""


class FloodedWeaver(Weaver):
    """Weaver that keeps all of a flood: rotated as by default, but for the number of files."""

    extra = "logRotation: {maxFiles: 20}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """What a flood came to."""

    took_s: float
    """Until the service had printed everything."""
    cpu_s: float
    """What the managing processes took."""
    lost: int
    twice: int
    """Lines that are there more often than once."""


def run() -> Iterator[Row | Beside]:
    """Flood every supervisor that keeps what services print."""
    kinds: list[type[Supervisor]] = [FloodedWeaver, *LOGGING]
    floods = {kind: _flood(kind(1, SCRIPT)) for kind in kinds}
    yield Beside(
        title=f"{LINES:,} lines",
        columns=("printed in", "manager's CPU", "lost", "doubled"),
        lines=tuple((kind.name, *_cells(flood)) for kind, flood in floods.items()),
        note=(
            f"One service prints {LINES:,} lines of {LINE_BYTES} bytes as fast as it can. Each "
            "supervisor rotates as by default, but may keep more files than that."
        ),
    )
    ours = floods[FloodedWeaver]
    yield Row(
        what=f"{LINES:,} log lines: lost or doubled",
        budget="none",
        measured=str(ours.lost + ours.twice),
        met=not ours.lost + ours.twice,
        note=f"CPU of the managers {time_text(ours.cpu_s)}, compression included",
    )


def _cells(flood: Flood) -> tuple[str, ...]:
    return time_text(flood.took_s), time_text(flood.cpu_s), f"{flood.lost:,}", f"{flood.twice:,}"


def _flood(supervisor: Supervisor) -> Flood:
    """Let one service print, until its supervisor has come to rest again."""
    try:
        supervisor.prepare()
        supervisor.launch()
        until(lambda: _printed(supervisor) > 0, LIMIT_S, "the first line", 0.001)
        began, before = time.perf_counter(), _spent(supervisor)
        until(lambda: _is_done(supervisor), LIMIT_S, "the last line to be printed", 0.005)
        took = time.perf_counter() - began
        cpu = _until_calm(supervisor) - before
        lost, twice = _compare(supervisor.outputs())
    finally:
        supervisor.clean_up()
    return Flood(took_s=took, cpu_s=cpu, lost=lost, twice=twice)


def _printed(supervisor: Supervisor) -> int:
    return sum(path.stat().st_size for path in supervisor.outputs() if path.exists())


def _is_done(supervisor: Supervisor) -> bool:
    """Tell whether the service sleeps by now: it has printed everything."""
    return any(name.endswith(b"sleep") for name in supervisor.census.programs())


def _until_calm(supervisor: Supervisor) -> float:
    """Wait until the managers take no CPU time any more, and give what they took in all."""
    last = -1.0
    deadline = time.monotonic() + LIMIT_S
    while (now := _spent(supervisor)) - last > 0.01 and time.monotonic() < deadline:
        last = now
        time.sleep(CALM_S)
    return now


def _spent(supervisor: Supervisor) -> float:
    """Add up the managers' CPU time with that of the programs they ran, compressors for one."""
    managers = supervisor.managers()
    helpers = [child for pid in managers for child in children(pid)]
    own = {*managers, *helpers} - supervisor.census.fresh().keys()
    return cpu_time_s(own) + ended_children_s(own)


def _compare(paths: list[Path]) -> tuple[int, int]:
    """Count the numbers that are missing in some files, and those that are there twice."""
    text = b"".join(gzip.decompress(_read(p)) if p.suffix == ".gz" else _read(p) for p in paths)
    found = [int(word) for word in text.split() if word.isdigit() and len(word) == LINE_BYTES - 1]
    different = len(set(found))
    return LINES - different, len(found) - different


def _read(path: Path) -> bytes:
    return path.read_bytes()
