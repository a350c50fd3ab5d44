"""Turn specs, memories and readings into JSON and back, for the record, the cache and the worker.

The JSON is ours alone: its keys are the fields of the model. What people see is made by api/wire.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")


class CodecError(ValueError):
    """Text that is not what it should be: another version's, or damaged."""


def encode(value: object) -> bytes:
    """Give the JSON of a frozen noun, or a mapping of them; equal nouns give equal bytes."""
    return _encoder().encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """Give the noun back. Raises CodecError where the text is not one of that kind."""
    try:
        found: T = _decoder(cast(Any, kind)).decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as why:
        raise CodecError(f"cannot read {kind.__name__} from JSON: {why}") from why
    return found


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder(order="deterministic")


@cache
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)
