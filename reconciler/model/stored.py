"""What the record gives back of what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event as stored: numbered without gaps."""

    seq: int
    time: float
    kind: str
    service: str
    instance: str
    reason: str
    revision: str
    actor: str
    data: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRecord:
    """One row of `state_history`."""

    time: float
    service: str
    instance: str
    before: str
    after: str
    reason: str
    actor: str
    revision: str
    digest: str
