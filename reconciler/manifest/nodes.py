"""The tree of one YAML document: values, and where in the text each of them stands.

Lines and columns count from 1 as editors show them; `start` and `end` are offsets into the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Where in a document: keys and indexes from its top."""


class Unfit(NamedTuple):
    """A number that no value can hold: too many digits, not finite. Fine where text is wanted."""

    text: str


class Scalar(NamedTuple):
    """One scalar; `text` is what was written between the quotes, if there are any."""

    value: bool | int | float | str | Unfit | None
    text: str
    style: str
    """The quote or block mark (`'`, `"`, `|`, `>`); empty for a plain scalar."""
    line: int
    column: int
    start: int
    end: int


class Pair(NamedTuple):
    """One entry of a mapping."""

    key: Scalar
    value: Node


class MapNode(NamedTuple):
    """A mapping."""

    pairs: Sequence[Pair]
    is_flow: bool
    line: int
    column: int
    start: int
    end: int

    def get(self, key: str) -> Node | None:
        """Give the value of a key."""
        return next((value for found, value in self.pairs if found.value == key), None)

    def key(self, key: str) -> Scalar | None:
        """Give the key itself, for its place."""
        return next((found for found, _ in self.pairs if found.value == key), None)


class ListNode(NamedTuple):
    """A sequence."""

    items: Sequence[Node]
    is_flow: bool
    line: int
    column: int
    start: int
    end: int


Node = Scalar | MapNode | ListNode


def find(node: Node, path: Path) -> Node | None:
    """Give the node at a path; None where there is none."""
    for step in path:
        child: Node | None = None
        if isinstance(node, MapNode) and isinstance(step, str):
            child = node.get(step)
        elif isinstance(node, ListNode) and isinstance(step, int) and 0 <= step < len(node.items):
            child = node.items[step]
        if child is None:
            return None
        node = child
    return node


def find_key(node: Node, path: Path) -> Node | None:
    """Give the key that ends a path, or the node itself where it is a list's item."""
    parent = find(node, path[:-1])
    if path and isinstance(parent, MapNode) and isinstance(path[-1], str):
        return parent.key(path[-1])
    return find(node, path)
