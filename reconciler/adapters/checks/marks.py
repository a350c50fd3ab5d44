"""Probe by what a run has left: a line of its output, or a file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from reconciler.adapters.checks.place import ProbeError
from reconciler.model.event import Probe
from reconciler.model.units import SECOND, Nanos

SLACK_S = 0.02
"""File systems keep times by a clock that ticks so slowly."""

Output = Callable[[Probe], Awaitable[str]]
"""Gives the first line of a run's output that matches the pattern; nothing where none does."""


async def ask_output(output: Output | None, command: Probe) -> str:
    """Look for a line in what the run has written since the last question."""
    found = await output(command) if output is not None else ""
    if not found:
        raise ProbeError(f"no line of its output contains `{command.readiness.pattern}` yet")
    return f"it wrote: {found}"


async def ask_file(path: str, folder: str, started: Nanos) -> str:
    """See whether a file is there that the run has made or touched."""
    return await asyncio.to_thread(_look, Path(folder) / path, started)


def _look(path: Path, started: Nanos) -> str:
    try:
        changed = path.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError) as why:
        raise ProbeError(f"{path} is not there yet") from why
    age = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - started) / SECOND
    if changed < time.time() - age - SLACK_S:
        raise ProbeError(f"{path} is of a former run")
    return f"{path} is there"
