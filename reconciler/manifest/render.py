"""Write values as YAML or JSON text, plain where that reads back as the very same value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.manifest.compose import Composer
from reconciler.manifest.events import SyntaxFaultError
from reconciler.manifest.nodes import ListNode, MapNode, Node, Scalar, Unfit
from reconciler.manifest.schema import Schema, child

_MUST_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_ONE_LINE = 80
"""A list that is written in brackets is not longer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a file is written."""

    is_json: bool = False
    step: int = 2
    """Columns by which a mapping's keys are indented beneath the key they belong to."""
    dash: int = 2
    """The same for the dashes of a list."""
    newline: str = "\n"


def style_of(text: str, root: Node | None, *, is_json: bool) -> Style:
    """Read off a document how it is indented; two columns where it does not show.

    The first key with a block below it decides, for mappings and for lists each.
    """
    step, dash = 0, -1
    todo: list[Node] = [root] if root is not None else []
    while todo:
        node = todo.pop(0)
        if isinstance(node, ListNode):
            todo += node.items
        elif isinstance(node, MapNode):
            for key, value in node.pairs:
                todo.append(value)
                if node.is_flow or value.line == key.line:
                    continue
                if isinstance(value, MapNode) and not step:
                    step = value.column - key.column
                elif isinstance(value, ListNode) and dash < 0:
                    dash = value.column - key.column
    newline = "\r\n" if "\r\n" in text else "\n"
    return Style(is_json=is_json, step=step or 2, dash=2 if dash < 0 else dash, newline=newline)


def scalar(value: Any, schema: Schema, *, in_flow: bool, style: Style, quote: str = "") -> str:
    """Write a scalar; a text keeps the quotes that stood there before, if any.

    >>> env = {"x-text": True}
    >>> [scalar(v, env, in_flow=False, style=Style()) for v in ("0800", "null", "a: b")]
    ['0800', '"null"', '"a: b"']
    """
    if isinstance(value, Unfit):
        return value.text
    if not isinstance(value, str) or style.is_json:
        return _escaped(json.dumps(value, ensure_ascii=False))
    if quote == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if not quote and _is_plain(value, as_text=bool(schema.get("x-text")), in_flow=in_flow):
        return value
    return _escaped(json.dumps(value, ensure_ascii=False))


def flow(value: Any, schema: Schema, style: Style) -> str:
    """Write any value in one line, with brackets.

    >>> flow({"a": [1, "x, y"]}, {}, Style())
    '{a: [1, "x, y"]}'
    """
    if isinstance(value, Mapping):
        inner = (
            f"{scalar(key, {}, in_flow=True, style=style)}: {flow(item, child(schema, key), style)}"
            for key, item in value.items()
        )
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item, schema.get("items", {}), style) for item in value) + "]"
    return scalar(value, schema, in_flow=True, style=style)


def pair_lines(key: str, value: Any, schema: Schema, indent: int, style: Style) -> list[str]:
    """Write a key and its value as lines of a block mapping."""
    pad = " " * indent
    name = scalar(key, {}, in_flow=False, style=style)
    if isinstance(value, Mapping) and value:
        lines = [f"{pad}{name}:"]
        for inner, item in value.items():
            lines += pair_lines(inner, item, child(schema, inner), indent + style.step, style)
        return lines
    if isinstance(value, Sequence) and not isinstance(value, str | Unfit):
        written = flow(value, schema, style)
        if len(pad) + len(name) + len(written) + 2 <= _ONE_LINE or not _all_scalars(value):
            return [f"{pad}{name}: {written}"]
        items = (
            scalar(item, schema.get("items", {}), in_flow=False, style=style) for item in value
        )
        return [f"{pad}{name}:", *(f"{pad}{' ' * style.dash}- {item}" for item in items)]
    written = "{}" if value == {} else scalar(value, schema, in_flow=False, style=style)
    return [f"{pad}{name}: {written}"]


def _all_scalars(values: Sequence[Any]) -> bool:
    return not any(isinstance(value, Mapping | list) for value in values)


def _is_plain(value: str, *, as_text: bool, in_flow: bool) -> bool:
    """Ask the reader itself whether a text without quotes is read as that text."""
    if not value.isprintable() or value.startswith(("---", "...")):
        return False
    composer = Composer("", f"[{value}]" if in_flow else f"- {value}\n")
    try:
        node = composer.compose()
    except (SyntaxFaultError, StopIteration):
        return False
    items = node.items if isinstance(node, ListNode) else []
    if len(items) != 1 or composer.faults or not isinstance(items[0], Scalar):
        return False
    found = items[0]
    if found.style or found.text != value:
        return False
    return found.value is not None if as_text else found.value == value


def _escaped(text: str) -> str:
    return _MUST_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
