"""Write the reference of the HTTP API (`docs/api.md`) from the table of routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import msgspec

from reconciler.api.openapi import describe
from reconciler.api.routes import ENDPOINTS, Endpoint
from reconciler.api.wire.messages import MessageKeys

_HEAD = """\
# The HTTP API

<!-- Made from the table of routes by `pytest tests/api/test_docs.py --rewrite`; do not edit. -->

{about}

```console
$ curl -s --unix-socket .weaver/weaver.sock http://weaver/v1/status?format=table
```

Text is laid out for `width` columns and coloured with `color=1`, whatever the route. Times are
RFC 3339 in UTC, durations seconds. The whole interface as OpenAPI 3.1, with every key of every
document, is in [openapi.json](openapi.json), and the daemon has it at `/v1/openapi.json`.

| route | |
|---|---|
"""

_MESSAGES = """## Messages

A long verb says one JSON object a line, each with its `type`; the `summary` is the last. The verb
goes on to its end though the client may leave.

| type | says | keys |
|---|---|---|"""

_COMMON = ("width", "color")


def api_reference() -> str:
    """Give the reference as Markdown."""
    described = describe()
    schemas = described["components"]["schemas"]
    lines = [_HEAD.format(about=described["info"]["description"]).rstrip()]
    lines += [f"| [`{e.method} {e.path}`](#{e.name}) | {e.summary} |" for e in ENDPOINTS]
    for endpoint in ENDPOINTS:
        operation = described["paths"][endpoint.path][endpoint.method.lower()]
        lines += ["", *_section(endpoint, operation, schemas)]
    lines += ["", _MESSAGES, *map(_message, get_args(MessageKeys))]
    return "\n".join(lines) + "\n"


def _section(
    endpoint: Endpoint, operation: dict[str, Any], schemas: dict[str, Any]
) -> Iterator[str]:
    """Give what there is to know of one route."""
    given = " or ".join(f"`{media}`" for media in endpoint.answers)
    yield from (f"## {endpoint.name}", "", f"`{endpoint.method} {endpoint.path}`")
    yield from ("", f"{endpoint.summary} Gives {given}.")
    rows = [row for row in operation["parameters"] if row["name"] not in _COMMON]
    if rows:
        yield from ("", "| parameter | | |", "|---|---|---|")
    for row in rows:
        yield _row(row["name"], row["schema"], row.get("description", ""), row["required"])
    if endpoint.body is not None:
        content = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from ("", "| key of the body | | |", "|---|---|---|")
        yield from _bodies([schemas[name] for name in _names(content)])


def _bodies(kinds: list[dict[str, Any]]) -> Iterator[str]:
    """Give the keys that all kinds of a body have, then those of each kind."""
    first = kinds[0]
    shared = {
        key
        for key, value in first["properties"].items()
        if all(
            kind["properties"].get(key) == value
            and (key in kind["required"]) == (key in first["required"])
            for kind in kinds
        )
    }
    yield from _keys(first, lambda key: key in shared)
    for kind in kinds:
        if "kind" in kind["properties"]:
            name = kind["properties"]["kind"]["enum"][0]
            yield f"| **`kind: {name}`** | | {kind['description']} |"
            yield from _keys(kind, lambda key: key not in shared and key != "kind")


def _keys(schema: dict[str, Any], chosen: Callable[[str], bool]) -> Iterator[str]:
    """Give those keys of an object that are chosen."""
    for key, value in schema["properties"].items():
        if chosen(key):
            yield _row(key, value, "", key in schema["required"])


def _row(name: str, schema: dict[str, Any], about: str, required: bool) -> str:
    """Give one parameter or key: its type, its default, what it is."""
    default = schema.get("default")
    notes = [_kind(schema)]
    if required:
        notes.append("required")
    elif default not in (None, "", [], False):
        notes.append(f"default `{default}`".replace("True", "true"))
    parts = [schema, *schema.get("anyOf", ())]
    about = about or next((part["description"] for part in parts if "description" in part), "")
    return f"| `{name}` | {', '.join(notes)} | {about} |"


def _message(kind: type[msgspec.Struct]) -> str:
    """Give one type of message: what it says, and its keys."""
    keys = ", ".join(f"`{item.encode_name}`" for item in msgspec.structs.fields(kind))
    about = (kind.__doc__ or "").split("\n")[0]
    return f"| `{kind.__struct_config__.tag}` | {about} | {keys} |"


def _names(schema: dict[str, Any]) -> list[str]:
    """Name the schemas that a schema refers to."""
    found = [schema, *schema.get("anyOf", ())]
    return [part["$ref"].rsplit("/", 1)[1] for part in found if "$ref" in part]


def _kind(schema: dict[str, Any]) -> str:
    """Give a type in a few words."""
    if "enum" in schema:
        return " ".join(f"`{choice}`" for choice in schema["enum"] if choice)
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1]).removesuffix("Keys").lower()
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("type", "anything"))
