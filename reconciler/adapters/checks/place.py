"""Where a probe or a check runs, and how it says that it failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.core.launch import Identity
from reconciler.model.health import CheckFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the commands of a slot run, and how `${...}` reads there."""

    cwd: str
    env: Mapping[str, str]
    expand: Callable[[str], str]
    root: str = "/"
    """The repository's folder, which the paths of checkers are relative to."""
    identity: Identity = field(default_factory=Identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one that is well: in words, and as facts."""

    detail: str
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class ProbeError(Exception):
    """Something else was seen than is wanted; the text says what, `fault` in one word."""

    def __init__(
        self,
        text: str,
        fault: CheckFault = CheckFault.ERROR,
        facts: Mapping[str, str | int | float | bool] | None = None,
    ) -> None:
        super().__init__(text)
        self.fault = fault
        self.facts = facts or {}
