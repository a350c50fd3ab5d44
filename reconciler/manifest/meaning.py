"""Give the plain value of a document tree, as the schema wants its scalars read."""

from __future__ import annotations

from typing import Any

from reconciler.manifest.nodes import ListNode, MapNode, Node, Scalar
from reconciler.manifest.schema import Schema, child, is_ignored


def meaning(node: Node, schema: Schema) -> Any:
    """Give a node's value: `x-` keys dropped, plain scalars as text where the schema says so.

    A number that no value can hold stays an `Unfit`, which no schema accepts.
    """
    match node:
        case Scalar(value=value, text=text, style=style):
            as_written = not style and value is not None and schema.get("x-text")
            return text if as_written else value
        case MapNode(pairs=pairs):
            return {
                key.text: meaning(value, child(schema, key.text))
                for key, value in pairs
                if not is_ignored(schema, key.text)
            }
        case ListNode(items=items):
            inner = schema.get("items", {})
            return [meaning(item, inner) for item in items]
