"""Memory as JSON text: what the columns `config`, `memory` and `prune` hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from reconciler.model.record import PruneHold, ServiceMemory, SlotMemory

T = TypeVar("T")
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredService:
    """A service's memory, and the boot that its points in time belong to."""

    boot: str
    memory: ServiceMemory


_encoder = msgspec.json.Encoder()
_service = msgspec.json.Decoder(_StoredService)
_slot = msgspec.json.Decoder(SlotMemory)
_prune = msgspec.json.Decoder(PruneHold | None)
_scalars = msgspec.json.Decoder(dict[str, Scalar])


class UnreadableError(ValueError):
    """A stored text that is no longer, or not yet, what this version of Weaver writes."""


def encode(value: SlotMemory | PruneHold | Mapping[str, Scalar] | None) -> str:
    """Give the JSON text of a value."""
    return _encoder.encode(value).decode()


def encode_service(memory: ServiceMemory, boot: str) -> str:
    """Give the JSON text of a service's memory."""
    return _encoder.encode(_StoredService(boot=boot, memory=memory)).decode()


def decode_service(text: str, boot: str) -> ServiceMemory:
    """Read a service's memory back; a restart asked for before a reboot is done by the reboot."""
    stored = _decode(_service, text)
    if stored.boot == boot:
        return stored.memory
    return replace(stored.memory, restart_before=None, restart_reason="")


def decode_slot(text: str) -> SlotMemory:
    """Read a slot's memory back."""
    return _decode(_slot, text)


def decode_prune(text: str) -> PruneHold | None:
    """Read the held removal back, None where there is none."""
    found: PruneHold | None = _decode(_prune, text)
    return found


def decode_scalars(text: str) -> dict[str, Scalar]:
    """Read an event's data back."""
    return _decode(_scalars, text)


def _decode(decoder: msgspec.json.Decoder[T], text: str) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableError(str(error)) from error
