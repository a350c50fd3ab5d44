"""Turn specs, memories and readings into JSON and back, for the record, the cache and the worker.

The JSON is ours alone: its keys are the fields of the model. What people see is made by api/wire.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from threading import Lock
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")

_MAKING = Lock()
"""One decoder is made at a time: msgspec lets others see what it knows of a class while it is still
finding that out, and whoever reads by half of it reads memory that is not there."""


class CodecError(ValueError):
    """Text that is not what it should be: another version's, or damaged."""


def encode(value: object) -> bytes:
    """Give the JSON of a frozen noun, or a mapping of them; equal nouns give equal bytes."""
    return _encoder().encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """Give the noun back. Raises CodecError where the text is not one of that kind."""
    try:
        with _MAKING:
            decoder = _decoder(cast(Any, kind))
        found: T = decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as why:
        raise CodecError(f"cannot read {kind.__name__} from JSON: {why}") from why
    return found


def share_defaults(noun: Any) -> None:
    """Let a noun that was decoded have the same objects for its defaults as all others have.

    Of 1,000 services nearly all have nearly all of them, and each would have its own.
    """
    for name, value in _defaults(cast(Any, type(noun))):
        if getattr(noun, name) == value:
            object.__setattr__(noun, name, value)


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    found = []
    for one in fields(kind):
        if one.default is not MISSING:
            found.append((one.name, one.default))
        elif one.default_factory is not MISSING:
            found.append((one.name, one.default_factory()))
    return tuple(found)


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(order="deterministic")


@cache
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)
