"""Where a probe runs, and how it says that it failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.core.launch import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the commands of a slot run, and how `${...}` reads there."""

    cwd: str
    env: Mapping[str, str]
    expand: Callable[[str], str]
    identity: Identity = field(default_factory=Identity)


class ProbeError(Exception):
    """A probe saw something else than it wants; the text says what."""
