"""Describe the interface as OpenAPI 3.1, from the table of routes and the types of the wire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from reconciler import __version__
from reconciler.api.replies import EXIT_CODE, PROBLEM, REQUEST_ID
from reconciler.api.routes import ENDPOINTS, Endpoint
from reconciler.api.wire.answers import ProblemDocument
from reconciler.api.wire.queries import Query

_REFERENCE = "#/components/schemas/{name}"

_ABOUT = """\
HTTP/1.1 over the unix socket `.weaver/weaver.sock` of a repository. Only the user that the daemon
runs as, and root, may use it (the kernel says who connects). Every answer has the header
`Weaver-Exit-Code`, with the exit code that the command line ends with; only a stream of messages
has it in its last line instead, the `summary`. Errors are problem documents (RFC 9457)."""


def openapi_document() -> bytes:
    """Give the document as JSON, with a last newline."""
    return msgspec.json.format(msgspec.json.encode(describe()), indent=2) + b"\n"


def describe() -> dict[str, Any]:
    """Give the document as plain values."""
    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    known = dict(zip(map(id, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        operation = _operation(endpoint, known)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weaver", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": dict(sorted(components.items()))},
    }


def _types() -> list[Any]:
    """Give every type that a body or an answer has, once each."""
    found = [ProblemDocument]
    for endpoint in ENDPOINTS:
        found += [endpoint.body, *endpoint.answers.values()]
    return list({id(kind): kind for kind in found if kind is not None}.values())


def _operation(endpoint: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    """Describe one route."""
    described: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"For {endpoint.who.value}.",
        "parameters": [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query)],
        "responses": {"200": _good(endpoint, schemas), "default": _bad(schemas)},
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[id(endpoint.body)]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _good(endpoint: Endpoint, schemas: dict[int, Any]) -> dict[str, Any]:
    """Describe the good answer in all its media types."""
    content = {
        media: {"schema": {"type": "string"} if kind is None else schemas[id(kind)]}
        for media, kind in endpoint.answers.items()
    }
    return {"description": endpoint.summary, "headers": _headers(), "content": content}


def _bad(schemas: dict[int, Any]) -> dict[str, Any]:
    """Describe any other answer."""
    return {
        "description": "What was wrong, and the way out.",
        "headers": _headers(),
        "content": {PROBLEM: {"schema": schemas[id(ProblemDocument)]}},
    }


def _headers() -> dict[str, Any]:
    """Describe the headers of every answer."""
    return {
        EXIT_CODE: {"schema": {"type": "integer"}, "description": "As the command line ends."},
        REQUEST_ID: {"schema": {"type": "string"}, "description": "Named in the daemon's log."},
    }


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    """Describe the parts of a path that are not fixed."""
    for part in path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(kind: type[Query]) -> Iterable[dict[str, Any]]:
    """Describe what may stand behind the question mark."""
    _, components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    described = components[kind.__name__]
    for name, schema in described["properties"].items():
        about = {"description": schema["description"]} if "description" in schema else {}
        rest = {key: value for key, value in schema.items() if key != "description"}
        required = name in described["required"]
        yield {"name": name, "in": "query", **about, "required": required, "schema": rest}
