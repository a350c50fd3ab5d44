"""Complete a service's document by what weaver.yaml says of all services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.manifest.rules import contradictions
from reconciler.manifest.schema import Schema

Document = Mapping[str, Any]

BY_KEY = frozenset({"annotations", "backoff", "env", "labels", "limits", "logRotation", "update"})
"""Mappings that are completed key by key; everything else is taken whole or not at all."""


def completed(document: Document, defaults: Document, schema: Schema) -> Document:
    """Add what the document lacks; a default that could do nothing in it is left out."""
    whole = dict(document)
    for key in sorted(defaults):
        value = _without_itself(defaults[key], whole) if key == "dependsOn" else defaults[key]
        if key not in whole:
            candidate = {**whole, key: value}
        elif key in BY_KEY:
            candidate = {**whole, key: {**value, **whole[key]}}
        else:
            continue
        if not any(contradictions(candidate, schema)):
            whole = candidate
    return whole


def _without_itself(needs: Any, document: Document) -> Any:
    """Leave the service itself out of what all services need."""
    name = document["name"]
    if isinstance(needs, list):
        return [need for need in needs if need != name]
    return {need: terms for need, terms in needs.items() if need != name}
