"""What a tree of processes weighs, where measuring is what limits it."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.observed import ProcessId


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A tree to weigh."""

    process: ProcessId
    limit: int | None
    """Bytes; above it, memory that processes share is counted with care."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What a tree uses."""

    memory: int
    cpu: float | None
    """Cores, since the weighing before; None: there was none."""
