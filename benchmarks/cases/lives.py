"""What 100 and 1,000 services take, from their start to their stop, under every supervisor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.life import Life, live
from benchmarks.peers import LOGGING, PEERS
from benchmarks.report import Beside, Row, time_text
from benchmarks.supervisors import Supervisor, Weaver

FEW, MANY = 100, 1000
IDLE_S = 15.0
BUDGET_BYTES = 45e6
BUDGET_SLOPE_BYTES = 20e3
BUDGET_IDLE_PERCENT = 0.3
COLUMNS = ("start", "CPU for it", "memory", "idle CPU", "stop")
NOTE = (
    "Start is from the command to the last service, and CPU what the managing processes took by "
    "then. Memory is proportional (PSS), idle CPU of one core. Stop ends when no process is left."
)

Lives = Mapping[type[Supervisor], Life]


def run() -> Iterator[Row | Beside]:
    """Let every supervisor live once with few and once with many services."""
    few, many = (_lives(count) for count in (FEW, MANY))
    for count, lives in ((FEW, few), (MANY, many)):
        lines = tuple((kind.name, *_cells(life)) for kind, life in lives.items())
        yield Beside(title=f"{count:,} services", columns=COLUMNS, lines=lines, note=NOTE)
    yield from _budgets(few, many)


def _lives(count: int) -> Lives:
    kinds: list[type[Supervisor]] = [Weaver, *PEERS]
    return {kind: live(kind(count), IDLE_S) for kind in kinds}


def _cells(life: Life) -> tuple[str, ...]:
    return (
        time_text(life.start_s),
        time_text(life.start_cpu_s),
        _megabytes(life.memory),
        f"{life.idle_percent:.3f} %",
        time_text(life.stop_s) + (f", {life.left} left" if life.left else ""),
    )


def _budgets(few: Lives, many: Lives) -> Iterator[Row]:
    ours = few[Weaver]
    yield Row(
        what=f"resident (PSS) of holder and daemon, {FEW} services",
        budget=_megabytes(BUDGET_BYTES),
        measured=_megabytes(ours.memory),
        met=ours.memory < BUDGET_BYTES,
    )
    slope = (many[Weaver].memory - ours.memory) / (MANY - FEW)
    yield Row(
        what=f"each further service, from {FEW} to {MANY}",
        budget=f"{BUDGET_SLOPE_BYTES / 1e3:.0f} kB",
        measured=f"{slope / 1e3:.1f} kB",
        met=slope < BUDGET_SLOPE_BYTES,
    )
    yield Row(
        what=f"idle CPU of holder and daemon, {FEW} services",
        budget=f"{BUDGET_IDLE_PERCENT:g} % of a core",
        measured=f"{ours.idle_percent:.3f} %",
        met=ours.idle_percent < BUDGET_IDLE_PERCENT,
        note=f"over {time_text(IDLE_S)}, as the scheduler counts it, in nanoseconds",
    )
    for peer in LOGGING:
        if peer.name in ("PM2", "runit + svlogd", "s6 + s6-log"):
            yield _less_memory(peer, many[Weaver].memory, many[peer].memory)


def _less_memory(peer: type[Supervisor], ours: int, theirs: int) -> Row:
    return Row(
        what=f"memory (PSS) at {MANY:,} services, beside {peer.name}",
        budget="less",
        measured=_megabytes(ours),
        beside=f"{peer.name} {_megabytes(theirs)}",
        ratio=ours / theirs,
        met=ours < theirs,
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
