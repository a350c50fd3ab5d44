"""Turn what a person typed behind `weaver set web PATH=` into a value of a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.manifest.nodes import MapNode
from reconciler.manifest.parse import parse
from reconciler.manifest.schema import Schema, child
from reconciler.manifest.wanted import comparable
from reconciler.model.errors import ManifestError

_KEY = "value"


def typed(text: str, schema: Schema) -> Any:
    """Give the value that a text means in a place with this schema.

    Where only text fits, it is the text; elsewhere it is YAML.

    >>> typed("0800", {"type": "string", "x-text": True}), typed("3", {"type": "integer"})
    ('0800', 3)
    """
    if _takes_text(text, schema):
        return text
    read = parse(_KEY, f"{_KEY}: {text}\n".encode())
    faults = [*read.faults, *(fault for document in read.documents for fault in document.faults)]
    root = read.documents[0].root if len(read.documents) == 1 else None
    if faults or not isinstance(root, MapNode) or len(root.pairs) != 1:
        why = faults[0].message if faults else "it is more than one value"
        raise ManifestError(f"cannot use the value `{text}`: {why}", mend="quote it for YAML")
    return comparable(root.pairs[0].value, schema)


def _takes_text(text: str, schema: Schema) -> bool:
    kinds = schema.get("type", [])
    wanted = {kinds} if isinstance(kinds, str) else set(kinds)
    if "enum" in schema or "const" in schema:
        return True
    if "string" not in wanted:
        return False
    if "array" in wanted:
        return not text.lstrip().startswith("[")
    return bool(schema.get("x-text")) or wanted == {"string"}


def with_value(document: Any, path: Sequence[str], text: str, schema: Schema) -> Any:
    """Give a document in which a path has the value that was typed."""
    if not path:
        return typed(text, schema)
    step, rest = path[0], path[1:]
    if isinstance(document, list):
        if _may_be_names(document, schema):
            document = {name: {} for name in document}
        else:
            index = _index(document, step)
            new = with_value(document[index], rest, text, schema.get("items", {}))
            return [*document[:index], new, *document[index + 1 :]]
    if document is not None and not isinstance(document, dict):
        raise ManifestError(f"cannot set `{'.'.join(path)}` inside of a single value")
    inner = (document or {}).get(step)
    return {**(document or {}), step: with_value(inner, rest, text, child(schema, step))}


def without(document: Any, path: Sequence[str]) -> Any:
    """Give a document without a path; a mapping or list that this empties goes too.

    >>> without({"a": {"b": 1}, "c": 2}, ["a", "b"])
    {'c': 2}
    """
    step, rest = path[0], path[1:]
    if isinstance(document, list) and step.isdigit() and int(step) < len(document):
        index = int(step)
        inner = without(document[index], rest) if rest else None
        return [*document[:index], *([inner] if inner else []), *document[index + 1 :]]
    if not isinstance(document, dict) or step not in document:
        return document
    others = {key: value for key, value in document.items() if key != step}
    if not rest:
        return others
    inner = without(document[step], rest)
    if inner == document[step]:
        return document
    emptied = inner in ({}, [])
    return others if emptied else {**document, step: inner}


def _may_be_names(document: list[Any], schema: Schema) -> bool:
    """Tell whether a list of names could as well be a mapping of names: `dependsOn`."""
    kinds = schema.get("type", [])
    return "object" in kinds and "array" in kinds and all(isinstance(x, str) for x in document)


def _index(items: list[Any], step: str) -> int:
    if not step.isdigit() or int(step) >= len(items):
        raise ManifestError(
            f"cannot set item `{step}` of a list of {len(items)}",
            mend=f"items are 0 to {len(items) - 1}; or set the whole list: [a, b]",
        )
    return int(step)
