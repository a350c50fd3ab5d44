"""What is seen that was done to processes by hand, and what undoes it."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.observed import ProcessId, Slot
from reconciler.model.units import RunId, Serial


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSeen:
    """How a run's main process was found, where that may not be as it was left."""

    slot: Slot
    run: RunId
    is_halted: bool
    """It was stopped (SIGSTOP), and no debugger holds it."""
    nice: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRight:
    """Undo what somebody did to a process; answered by `SignalAnswered`."""

    serial: Serial
    slot: Slot
    run: RunId
    target: ProcessId
    resumes: bool
    """It goes on (SIGCONT), with the rest of its process group."""
    nice: int | None
    """What it is to have again; None: that is as it was."""
    because: str
