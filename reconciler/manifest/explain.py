"""Say what a field of a manifest or of weaver.yaml means: `weaver explain FIELD`.

Everything told comes from the schema, so it is what validation goes by.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from reconciler.manifest.schema import SERVICE, WEAVER, Schema, child, is_closed, load
from reconciler.manifest.suggest import did_you_mean
from reconciler.model.errors import NotFoundError

_KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
    "null": "null",
}
_EFFECTS = {
    "metadata": "no process is touched",
    "live": "it is put into force at once; no process is touched",
    "restart": "the service's processes are replaced",
    "structural": "processes come or go; those that stay are not touched",
    "state": "the service is started or stopped",
}
_INDENT = "  "


def explain(path: str, *, width: int = 80) -> str:
    """Give the text about one field: `ready.http.url`, `env.PORT`, `git.autoCommit`.

    Raises NotFoundError, with the field that was probably meant.
    """
    found = _find(path)
    if found is None:
        raise NotFoundError(
            f"cannot explain `{path}`: there is no such field",
            mend=did_you_mean(path, paths()) or "`weaver explain` lists all fields",
        )
    return "\n".join(_lines(*found, width)) + "\n"


def overview(*, width: int = 80) -> str:
    """Give all fields, each with the first sentence about it."""
    lines = []
    for title, name in (("A service", SERVICE), ("weaver.yaml", WEAVER)):
        lines.append(f"{title}:")
        for path, schema in _walk(load(name), ""):
            about = _INDENT + path.ljust(28) + _first_sentence(schema)
            lines += textwrap.wrap(about, width, subsequent_indent=" " * 32)
        lines.append("")
    lines.append("weaver explain FIELD tells more about one of them.")
    return "\n".join(lines) + "\n"


def paths() -> tuple[str, ...]:
    """Give the path of every field, those of weaver.yaml last."""
    return tuple(path for name in (SERVICE, WEAVER) for path, _ in _walk(load(name), ""))


def kind_of(schema: Schema) -> str:
    """Say in a few words what a field takes.

    >>> kind_of({"type": ["string", "array"]}), kind_of({"enum": ["a", "b"]})
    ('text or list', 'a, b')
    """
    if schema.get("x-kind") == "duration":
        return 'span of time: "500ms", "10s", "5m", "1h", "2d", "1w"'
    if schema.get("x-kind") == "size":
        words = "".join(f" or `{word}`" for word in schema.get("x-words", ()))
        return f'size: "64K", "512M", "2G"{words}'
    if schema.get("x-kind") == "limit":
        return str(schema["x-form"])
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "integer" in kinds and "x-form" in schema:
        return str(schema["x-form"])
    if schema.get("x-text"):
        kinds = [kind for kind in kinds if kind not in ("number", "boolean")]
    return " or ".join(_KINDS[kind] for kind in kinds)


def rules_of(schema: Schema) -> Iterator[str]:
    """Say beside which other fields this one does something, or must be there."""
    for sibling, values in schema.get("x-only-with", {}).items():
        yield f"only with {_any_of(sibling, values)}"
    for sibling, values in schema.get("x-needed-by", {}).items():
        yield f"needed with {_any_of(sibling, values)}"
    if "x-only-beside" in schema:
        yield f"only beside {schema['x-only-beside']}"


def _any_of(key: str, values: list[Any]) -> str:
    return " or ".join(f"{key}: {spelt(value)}" for value in values)


def _find(path: str) -> tuple[str, Schema] | None:
    """Give the field that a path is of or in: `env.PORT` is in `env`.

    A name that is left out is put in: `dependsOn.onRestart` is `dependsOn.NAME.onRestart`.
    """
    for name in (SERVICE, WEAVER):
        schema, known = load(name), ""
        for step in path.split("."):
            schema = insides(schema)
            if step in free_properties(schema):
                schema, known = schema["additionalProperties"], f"{known}.NAME"
            inner = child(schema, step)
            if not inner or (is_closed(schema) and step not in schema["properties"]):
                break
            if "description" in inner:
                schema, known = inner, f"{known}.{step}" if known else step
        else:
            return known, schema
    return None


def _walk(schema: Schema, above: str) -> Iterator[tuple[str, Schema]]:
    for key, inner in schema.get("properties", {}).items():
        yield f"{above}{key}", inner
        if key != "defaults":
            yield from _walk(insides(inner), f"{above}{key}.")
            if free_properties(inner):
                yield from _walk(inner["additionalProperties"], f"{above}{key}.NAME.")


def free_properties(schema: Schema) -> Schema:
    """Give the fields of what stands under a name that people choose; nothing where none do."""
    free = schema.get("additionalProperties")
    found: Schema = free.get("properties", {}) if isinstance(free, dict) else {}
    return found


def insides(schema: Schema) -> Schema:
    """Give what names the fields inside of a field: in a list, what each item is."""
    items = schema.get("items", {})
    return items if "properties" in items and "properties" not in schema else schema


def _lines(path: str, schema: Schema, width: int) -> Iterator[str]:
    title = f"{path}: {kind_of(schema)}" if kind_of(schema) else path
    yield from textwrap.wrap(title, width, subsequent_indent=_INDENT)
    yield ""
    yield from _wrapped(schema.get("description", ""), width)
    yield ""
    if schema.get("default") not in (None, "", [], {}):
        yield f"{_INDENT}default: {spelt(schema['default'])}"
    for rule in rules_of(schema):
        yield from _wrapped(rule, width)
    key = path.rpartition(".")[2]
    for example in schema.get("examples", []):
        yield f"{_INDENT}example: {key}: {spelt(example)}"
    if schema.get("x-effect"):
        yield from _wrapped(f"when it changes: {_EFFECTS[schema['x-effect']]}", width)
    inner = [f"{path}.{key}" for key in insides(schema).get("properties", {})]
    inner += [f"{path}.NAME.{key}" for key in free_properties(schema)]
    if inner:
        yield from _wrapped(f"has: {', '.join(inner)}", width)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _first_sentence(schema: Schema) -> str:
    text = str(schema.get("description", ""))
    return text.partition(". ")[0].rstrip(".") + "."


def spelt(value: Any) -> str:
    """Write a value as a manifest would, in one line.

    >>> spelt({"a": [1, True]})
    '{a: [1, true]}'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {spelt(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(spelt(inner) for inner in value) + "]"
    return str(value)
