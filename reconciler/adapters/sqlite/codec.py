"""Memory as JSON text: what the columns `config`, `memory`, `data` and the held removal hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.manifest.codec import CodecError, decode, encode
from reconciler.model.overlay import Overlay
from reconciler.model.record import PruneHold, Rollout, ServiceMemory, SlotMemory
from reconciler.model.units import Nanos, ServiceName, seconds

__all__ = ["CodecError"]

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredService:
    """A service's memory, and the boot that its points in time belong to."""

    boot: str
    memory: ServiceMemory


def service_text(memory: ServiceMemory, boot: str) -> str:
    """Give a service's memory as text."""
    return encode(_StoredService(boot=boot, memory=memory)).decode()


def read_service(text: str, boot: str) -> ServiceMemory:
    """Read a service's memory back; what was asked for before a reboot is done by it."""
    stored = decode(text, _StoredService)
    if stored.boot == boot:
        return stored.memory
    timing = stored.memory.timing
    return replace(
        stored.memory,
        restart_before=None,
        restart_reason="",
        reload_before=None,
        reload_reason="",
        rollout=_after_a_reboot(stored.memory.rollout),
        timing=None if timing is None else replace(timing, at=None, runs_from=None),
    )


def _after_a_reboot(rollout: Rollout | None) -> Rollout | None:
    """Give what is left of a rollout when everything starts anew: a restart is over by that."""
    if rollout is None or rollout.to.digest == rollout.base.digest:
        return None
    return replace(rollout, since=Nanos(0), began=Nanos(0), proven=())


def slot_text(memory: SlotMemory) -> str:
    """Give a slot's memory as text."""
    return encode(memory).decode()


def read_slot(text: str) -> SlotMemory:
    """Read a slot's memory back."""
    return decode(text, SlotMemory)


def prune_text(hold: PruneHold | None) -> str:
    """Give the held removal as text; empty where there is none."""
    return encode(hold).decode() if hold is not None else ""


def read_prune(text: str) -> PruneHold | None:
    """Read the held removal back."""
    return decode(text, PruneHold) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredOverlays:
    """What is wanted for a while, and the boot that its points in time belong to."""

    boot: str
    overlays: tuple[Overlay, ...]


def overlays_text(overlays: tuple[Overlay, ...], boot: str) -> str:
    """Give what is wanted for a while as text."""
    return encode(_StoredOverlays(boot=boot, overlays=overlays)).decode()


def read_overlays(text: str, boot: str, now: Nanos, wall: float) -> tuple[Overlay, ...]:
    """Read it back; after a reboot the wall clock tells what is left, and never more than asked."""
    stored = decode(text, _StoredOverlays)
    if stored.boot == boot:
        return stored.overlays
    return tuple(
        replace(one, ends_at=Nanos(now + min(one.ends - seconds(wall), one.lasts)))
        for one in stored.overlays
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredRemovals:
    """What was removed a short time ago, and when that was written, by both clocks."""

    boot: str
    now: Nanos
    wall: float
    removed: Mapping[ServiceName, Nanos]


def removed_text(removed: Mapping[ServiceName, Nanos], boot: str, now: Nanos, wall: float) -> str:
    """Give what was removed a short time ago as text."""
    return encode(_StoredRemovals(boot=boot, now=now, wall=wall, removed=removed)).decode()


def read_removed(text: str, boot: str, now: Nanos, wall: float) -> Mapping[ServiceName, Nanos]:
    """Read it back; after a reboot the wall clock tells its age, which never becomes less."""
    stored = decode(text, _StoredRemovals)
    if stored.boot == boot:
        return stored.removed
    since = seconds(max(0.0, wall - stored.wall))
    return {name: Nanos(now - since - (stored.now - at)) for name, at in stored.removed.items()}


def data_text(data: Mapping[str, Scalar]) -> str:
    """Give an event's data as text."""
    return encode(data).decode()


def read_data(text: str) -> dict[str, Scalar]:
    """Read an event's data back; nothing, where it is no longer readable."""
    try:
        return decode(text, dict[str, Scalar])
    except CodecError:
        return {}
