"""The documents in docs/ are what the code says, and every route says who may use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.api.openapi import openapi_document
from reconciler.api.reference import api_reference
from reconciler.api.routes import ENDPOINTS, METRICS_ENDPOINTS, Who
from tests.api.kept import check

DOCS = Path(__file__).parents[2] / "docs"


def test_the_openapi_document_is_current(request: pytest.FixtureRequest) -> None:
    check(request, DOCS / "openapi.json", openapi_document().decode())


def test_the_reference_is_current(request: pytest.FixtureRequest) -> None:
    check(request, DOCS / "api.md", api_reference())


def test_every_reference_in_the_openapi_document_leads_somewhere() -> None:
    described = json.loads(openapi_document())
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert set(_references(described)) <= known


def test_operations_have_names_of_their_own() -> None:
    names = [endpoint.name for endpoint in ENDPOINTS]
    assert len(names) == len(set(names))


def test_only_the_metrics_are_for_anyone() -> None:
    open_to_all = [e.path for e in (*ENDPOINTS, *METRICS_ENDPOINTS) if e.who is Who.ANYONE]
    assert open_to_all == ["/metrics"]
    assert all(endpoint.who is Who.OWNER for endpoint in ENDPOINTS)


def test_nothing_that_changes_something_is_a_get() -> None:
    assert all((endpoint.body is not None) == (endpoint.method == "POST") for endpoint in ENDPOINTS)


def _references(value: Any) -> list[str]:
    """Give every `$ref` in a document."""
    if isinstance(value, dict):
        found = [value["$ref"]] if "$ref" in value else []
        return found + [ref for item in value.values() for ref in _references(item)]
    if isinstance(value, list):
        return [ref for item in value for ref in _references(item)]
    return []
