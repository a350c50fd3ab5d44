"""What `weaver up` was told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.model.units import ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """Which repository to follow, and how."""

    root: Path
    state_dir: Path | None = None
    """Where to keep state instead of `<root>/.weaver`."""
    only: tuple[ServiceName, ...] = ()
    """Run just these and what they need; none named: everything."""
    comes_back: bool = False
    """Have the holder start it again when it dies without a goodbye (in the background only)."""
    logs: bool = False
    """Show the services' output between the events (foreground only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDaemon:
    """The daemon that holds a directory."""

    pid: int | None
    """None where too many ask for it at once."""
    version: str
    """Empty where it does not answer."""
    socket: Path
