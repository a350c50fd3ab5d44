"""What differs between two desired states: fields, their effect, and what would be done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.diagnostic import Source
from reconciler.model.units import ServiceName


class Effect(StrEnum):
    """What a change of a field does; declared once per field, in the schema's `x-effect`."""

    METADATA = "metadata"
    LIVE = "live"
    RESTART = "restart"
    STRUCTURAL = "structural"
    STATE = "state"
    """Starts or stops the service: the field `state` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of a manifest that differs; None where one side lacks it."""

    path: str
    """As a person would write it: `env.PORT`, `dependsOn.db.condition`."""
    before: str | None
    after: str | None
    effect: Effect
    place: Source | None = None
    """Where the manifest says it now, or stops saying it; None where that was not looked up."""


class Verb(StrEnum):
    """What happens to a service, in one word."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RELOAD = "reload"
    UPDATE = "update"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """What one service would go through."""

    service: ServiceName
    verbs: tuple[Verb, ...]
    order: int
    """Its place among the actions, from 1; 0 where nothing is done."""
    reason: str
    fields: tuple[FieldChange, ...] = ()
    held_by: str | None = None
    processes: int = 0
    """How many running processes are replaced, ended or told to load anew."""
    place: Source | None = None
    """Where the service is defined now, or was; None where that was not looked up."""
