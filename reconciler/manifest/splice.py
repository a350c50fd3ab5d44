"""Change a document's text only where its meaning changes; every other byte stays.

The old tree and the wanted value are compared key by key. What differs becomes splices: pieces of
text that are replaced, by what the new text says there or by what `render` makes of the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from reconciler.manifest.nodes import ListNode, MapNode, Node, Pair, Scalar
from reconciler.manifest.render import Style, flow, pair_lines, scalar
from reconciler.manifest.schema import Schema, child
from reconciler.manifest.snippet import comment_of, line_end, line_start, trimmed
from reconciler.manifest.wanted import Wanted, comparable


class LayoutError(Exception):
    """The text is laid out in a way that is not known here; ruamel.yaml is asked instead."""


class Splice(NamedTuple):
    """Replace text[start:end] by this."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The text that is changed, and how it is written."""

    text: str
    style: Style


def apply(text: str, splices: Sequence[Splice]) -> str:
    """Carry out splices that do not overlap; of two at one place the first comes first."""
    order = sorted(range(len(splices)), key=lambda at: (splices[at][:2], at), reverse=True)
    for start, end, new in (splices[at] for at in order):
        text = text[:start] + new + text[end:]
    return text


def map_splices(sheet: Sheet, node: MapNode, wanted: Wanted, schema: Schema) -> list[Splice]:
    """Give the splices that make a mapping mean what is wanted."""
    target = wanted.value
    kept = [pair for pair in node.pairs if pair.key.text in target]
    if not kept:
        raise LayoutError("no key is left to hold on to")
    splices: list[Splice] = []
    for key, value in kept:
        inner = child(schema, key.text)
        if comparable(value, inner) != target[key.text]:
            splices += _changed(sheet, node, Pair(key, value), wanted.at(key.text), inner)
    gone = [index for index, pair in enumerate(node.pairs) if pair.key.text not in target]
    members = [
        (pair.key.start, trimmed(sheet.text, max(pair.value.end, pair.key.end + 1)))
        for pair in node.pairs
    ]
    new = [key for key in target if node.key(key) is None]
    if node.is_flow:
        texts = [_flow_pair(sheet, key, wanted, schema) for key in new]
        return splices + _flow_members(sheet, members, gone, {len(members) - 1: texts})
    splices += _block_removals(sheet, members, gone)
    splices += _block_insertions(sheet, node, members, wanted, schema)
    return splices


# --- a value ---------------------------------------------------------------------------------


def _changed(
    sheet: Sheet, parent: MapNode, pair: Pair, wanted: Wanted, schema: Schema
) -> list[Splice]:
    try:
        inside = _inside(sheet, pair.value, wanted, schema)
    except LayoutError:
        inside = None  # then the value is written anew as a whole
    if inside is not None:
        return inside
    old, target = pair.value, wanted.value
    if parent.is_flow or sheet.style.is_json:
        return [Splice(old.start, old.end, _in_flow(sheet, old, target, schema))]
    if _is_single(sheet, old) and not isinstance(target, dict | list):
        return [_scalar_splice(sheet, old, wanted, schema)]
    return _block_value(sheet, pair, wanted, schema)


def _inside(sheet: Sheet, old: Node, wanted: Wanted, schema: Schema) -> list[Splice] | None:
    """Change parts of a collection; None where nothing of it stays."""
    target = wanted.value
    if isinstance(old, MapNode) and isinstance(target, dict):
        if any(key.text in target for key, _ in old.pairs):
            return map_splices(sheet, old, wanted, schema)
    elif isinstance(old, ListNode) and isinstance(target, list) and old.items and target:
        return _list_splices(sheet, old, wanted, schema)
    return None


def _is_single(sheet: Sheet, node: Node) -> bool:
    """Tell whether a scalar is written in one line."""
    written = sheet.text[node.start : node.end]
    return isinstance(node, Scalar) and node.style not in ("|", ">") and "\n" not in written


def _in_flow(sheet: Sheet, old: Node, target: Any, schema: Schema) -> str:
    if isinstance(target, dict | list):
        return flow(target, schema, sheet.style)
    quote = old.style if isinstance(old, Scalar) else ""
    return scalar(target, schema, in_flow=True, style=sheet.style, quote=quote)


def _scalar_splice(sheet: Sheet, old: Node, wanted: Wanted, schema: Schema) -> Splice:
    assert isinstance(old, Scalar)
    spelt = wanted.spelling()
    if spelt is None:
        spelt = scalar(wanted.value, schema, in_flow=False, style=sheet.style, quote=old.style)
    is_empty = old.start == old.end
    return Splice(old.start, old.end, f" {spelt}" if is_empty else spelt)


def _block_value(sheet: Sheet, pair: Pair, wanted: Wanted, schema: Schema) -> list[Splice]:
    """Write a pair anew: its value or the new one takes several lines."""
    text, style = sheet.text, sheet.style
    begin = line_start(text, pair.key.start)
    if text[begin : pair.key.start].strip(" "):
        raise LayoutError("the key is not the first in its line")
    end = trimmed(sheet.text, max(pair.value.end, pair.key.end + 1))
    indent = pair.key.start - begin
    lines = wanted.lines(indent, whole=False)
    if lines is None:
        lines = pair_lines(pair.key.text, wanted.value, schema, indent, style)
    comment = comment_of(text, end) if len(lines) > 1 else ""
    above = [" " * indent + comment] if comment else []
    cut = line_end(text, end) if comment else end
    return [Splice(begin, cut, style.newline.join([*above, *lines]))]


# --- block mappings --------------------------------------------------------------------------


def _block_removals(
    sheet: Sheet, members: Sequence[tuple[int, int]], gone: Sequence[int]
) -> list[Splice]:
    splices = []
    for index in gone:
        start, end = members[index]
        begin = line_start(sheet.text, start)
        if sheet.text[begin:start].strip(" "):
            raise LayoutError("the line holds something else before it")
        splices.append(Splice(begin, line_end(sheet.text, end, with_break=True), ""))
    return splices


def _block_insertions(
    sheet: Sheet,
    node: MapNode,
    members: Sequence[tuple[int, int]],
    wanted: Wanted,
    schema: Schema,
) -> list[Splice]:
    """Put each new key behind the one it follows in the new text, or at the end."""
    indent = node.column - 1
    after: dict[int, list[str]] = {}
    place = {pair.key.text: index for index, pair in enumerate(node.pairs)}
    last_kept = max(index for key, index in place.items() if key in wanted.value)
    anchor = last_kept
    for key in wanted.value:
        if key in place:
            anchor = place[key] if wanted.has_order else last_kept
            continue
        lines = wanted.at(key).lines(indent, whole=True)
        if lines is None:
            lines = pair_lines(key, wanted.value[key], child(schema, key), indent, sheet.style)
        after.setdefault(anchor, []).extend(lines)
    return [_insertion(sheet, members[index][1], lines) for index, lines in after.items()]


def _insertion(sheet: Sheet, end: int, lines: Sequence[str]) -> Splice:
    at = line_end(sheet.text, end, with_break=True)
    newline = sheet.style.newline
    if sheet.text[:at].endswith("\n"):
        return Splice(at, at, "".join(f"{line}{newline}" for line in lines))
    return Splice(at, at, "".join(f"{newline}{line}" for line in lines))


# --- lists -----------------------------------------------------------------------------------


def _list_splices(sheet: Sheet, node: ListNode, wanted: Wanted, schema: Schema) -> list[Splice]:
    inner = schema.get("items", {})
    old = [comparable(item, inner) for item in node.items]
    steps = SequenceMatcher(None, [*map(repr, old)], [*map(repr, wanted.value)], autojunk=False)
    splices: list[Splice] = []
    gone: list[int] = []
    after: dict[int, list[Any]] = {}
    for kind, low, high, first, last in steps.get_opcodes():
        new = wanted.value[first:last]
        if kind == "equal":
            continue
        for index in range(low, high):
            item = node.items[index]
            if new and not isinstance(new[0], dict | list) and _is_single(sheet, item):
                quote = item.style if isinstance(item, Scalar) else ""
                spelt = scalar(
                    new.pop(0), inner, in_flow=node.is_flow, style=sheet.style, quote=quote
                )
                splices.append(Splice(item.start, item.end, spelt))
            else:
                gone.append(index)
        if new:
            after.setdefault(high - 1, []).extend(new)
    members = [(item.start, trimmed(sheet.text, item.end)) for item in node.items]
    if node.is_flow:
        texts = {at: [flow(v, inner, sheet.style) for v in new] for at, new in after.items()}
        return splices + _flow_members(sheet, members, gone, texts)
    return splices + _block_items(sheet, node, members, gone, after, inner)


def _block_items(
    sheet: Sheet,
    node: ListNode,
    members: Sequence[tuple[int, int]],
    gone: Sequence[int],
    after: Mapping[int, Sequence[Any]],
    schema: Schema,
) -> list[Splice]:
    text, pad = sheet.text, " " * (node.column - 1)
    splices = []
    for index in gone:
        begin = line_start(text, members[index][0])
        if text[begin : members[index][0]].strip(" ") != "-":
            raise LayoutError("the item is not alone in its line")
        end = line_end(text, members[index][1], with_break=True)
        splices.append(Splice(begin, end, ""))
    for index, values in after.items():
        lines = [f"{pad}- {_item(sheet, value, schema)}" for value in values]
        if index >= 0:
            splices.append(_insertion(sheet, members[index][1], lines))
            continue
        begin = line_start(text, members[0][0])
        if text[begin : members[0][0]].strip(" ") != "-":
            raise LayoutError("the list begins in the middle of a line")
        newline = sheet.style.newline
        splices.append(Splice(begin, begin, "".join(f"{line}{newline}" for line in lines)))
    return splices


def _item(sheet: Sheet, value: Any, schema: Schema) -> str:
    if isinstance(value, dict | list):
        return flow(value, schema, sheet.style)
    return scalar(value, schema, in_flow=False, style=sheet.style)


# --- between brackets ------------------------------------------------------------------------


def _flow_pair(sheet: Sheet, key: str, wanted: Wanted, schema: Schema) -> str:
    name = scalar(key, {}, in_flow=True, style=sheet.style)
    return f"{name}: {flow(wanted.value[key], child(schema, key), sheet.style)}"


def _flow_members(
    sheet: Sheet,
    members: Sequence[tuple[int, int]],
    gone: Sequence[int],
    after: Mapping[int, Sequence[str]],
) -> list[Splice]:
    """Remove and add entries between brackets; commas go with them."""
    kept = [index for index in range(len(members)) if index not in gone]
    if not kept:
        raise LayoutError("nothing is left between the brackets")
    splices = [
        Splice(members[index][0], members[index + 1][0], "") for index in gone if index < kept[-1]
    ]
    added = {at: texts for at, texts in after.items() if texts}
    at_end = [text for at, texts in sorted(added.items()) if at >= kept[-1] for text in texts]
    for at, texts in sorted(added.items()):
        if at < kept[0]:
            start = members[kept[0]][0]
            splices.append(Splice(start, start, "".join(f"{text}, " for text in texts)))
        elif at < kept[-1]:
            anchor = max(index for index in kept if index <= at)
            end = members[anchor][1]
            splices.append(Splice(end, end, "".join(f", {text}" for text in texts)))
    if kept[-1] < len(members) - 1:
        return splices + _new_tail(sheet, members, kept[-1], at_end)
    return splices + (_appended(sheet, members, at_end) if at_end else [])


def _new_tail(
    sheet: Sheet, members: Sequence[tuple[int, int]], last: int, texts: Sequence[str]
) -> list[Splice]:
    """Replace everything behind the last entry that stays."""
    text, last_end, end = sheet.text, members[last][1], members[-1][1]
    comma = _comma(text, last_end)
    if comma is None:
        raise LayoutError("no comma where one should be")
    if texts:
        return [Splice(members[last + 1][0], end, ", ".join(texts))]
    break_at = line_end(text, comma)
    if break_at >= members[last + 1][0]:
        return [Splice(last_end, end, "")]
    without_comma = Splice(comma, comma + 1, "")
    if text[end : line_end(text, end)].strip()[:1] in ("", "#", ","):
        return [without_comma, Splice(break_at, line_end(text, end), "")]
    return [without_comma, Splice(members[last + 1][0], end, "")]


def _appended(
    sheet: Sheet, members: Sequence[tuple[int, int]], texts: Sequence[str]
) -> list[Splice]:
    """Add entries behind the last one: in its line, or each in a line where it has its own."""
    text, (start, end) = sheet.text, members[-1]
    begin = line_start(text, start)
    pad = text[begin:start]
    if pad.strip(" \t"):
        return [Splice(end, end, "".join(f", {new}" for new in texts))]
    newline = sheet.style.newline
    lines = newline + pad + f",{newline}{pad}".join(texts)
    comma = _comma(text, end)
    place = line_end(text, end if comma is None else comma)
    if text[end:place].strip()[:1] not in ("", "#", ","):
        place = end
    splices = [] if comma is not None else [Splice(end, end, ",")]
    return [*splices, Splice(place, place, lines)]


def _comma(text: str, at: int) -> int | None:
    """Find the comma behind an entry, over blanks and comments."""
    while at < len(text):
        if text[at] == "#":
            at = line_end(text, at)
        elif text[at] == ",":
            return at
        elif not text[at].isspace():
            return None
        else:
            at += 1
    return None
