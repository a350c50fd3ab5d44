"""Give the JSON Schemas of manifests and of weaver.yaml, and walk them beside a document.

Besides the standard's keywords they carry our own, which validation, diff, `explain` and the
documentation read: `x-effect` (what a change does), `x-kind` (`duration`, `size`, `words`,
`address`), `x-minimum`, `x-words` and `x-months` (of a duration or size: the least, words beside
it, whether months count), `x-text` (plain scalars are the text as written), `x-placeholders`,
`x-form` and `x-key-form` (a pattern in words), `x-only-with` (the key does something only beside
these values of its siblings), `x-only-beside` (only where that sibling is) and `x-needed-by` (it
must be there beside these values).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

Schema = Mapping[str, Any]

SERVICE = "service.v1.schema.json"
WEAVER = "weaver.v1.schema.json"

_SHARED = "#/$defs/"
_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "_schemas", _PACKAGE.parent / "schemas")
"""Inside of an installed wheel, and in a checkout."""


def schema_bytes(name: str) -> bytes:
    """Give a schema as it is shipped."""
    for folder in _PLACES:
        file = folder / name
        if file.is_file():
            return file.read_bytes()
    raise FileNotFoundError(f"cannot find {name} in {_PLACES[0]} or {_PLACES[1]}")


@cache
def load(name: str) -> Schema:
    """Give a schema; references to the other one are resolved in place."""
    schema: dict[str, Any] = json.loads(schema_bytes(name))
    schema = _resolved(schema, schema.pop("$defs", {}))
    if name == WEAVER:
        defaults = schema["properties"]["defaults"]["properties"]
        service = load(SERVICE)["properties"]
        for key in defaults:
            defaults[key] = service[key]
        schema["properties"]["logs"]["properties"]["rotation"] = service["logRotation"]
    return schema


def _resolved(schema: Any, shared: Mapping[str, Any]) -> Any:
    """Put what several fields share into the place of each; what stands beside it wins."""
    if isinstance(schema, list):
        return [_resolved(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", ""))
    if name.startswith(_SHARED):
        own = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**shared[name.removeprefix(_SHARED)], **own}
    return {key: _resolved(value, shared) for key, value in schema.items()}


def child(schema: Schema, step: str | int) -> Schema:
    """Give the schema of one entry; empty where it is free."""
    found: Any
    if isinstance(step, int):
        found = schema.get("items")
    else:
        found = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    return found if isinstance(found, Mapping) else {}


def is_closed(schema: Schema) -> bool:
    """Tell whether only the keys that the schema names are allowed, and `x-` ones ignored."""
    return schema.get("additionalProperties") is False


def is_ignored(schema: Schema, key: str) -> bool:
    """Tell whether a key is a person's own: it begins with `x-`."""
    return key.startswith("x-") and is_closed(schema)


def default_of(schema: Schema, key: str) -> Any:
    """Give what a key is worth where it is left out."""
    return child(schema, key).get("default")
