"""What a document is to mean, and where a person has written it down already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reconciler.manifest.nodes import ListNode, MapNode, Node, Scalar
from reconciler.manifest.schema import Schema, child
from reconciler.manifest.snippet import pair_lines_of, trimmed


def comparable(node: Node, schema: Schema) -> Any:
    """Give a node's value for comparing: as `meaning` does, a person's own `x-` keys included.

    So `8000` and `"8000"` are the same in `env`, and different things elsewhere.
    """
    match node:
        case Scalar(value=value, text=text, style=style):
            as_written = not style and value is not None and schema.get("x-text")
            return text if as_written else value
        case MapNode(pairs=pairs):
            return {key.text: comparable(value, child(schema, key.text)) for key, value in pairs}
        case ListNode(items=items):
            return [comparable(item, schema.get("items", {})) for item in items]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A value that is to be there; `text`, `node` and `key` say how a person spelt it."""

    value: Any
    text: str = ""
    node: Node | None = None
    key: Scalar | None = None
    """The key of the pair whose value this is, in a block mapping."""

    @property
    def has_order(self) -> bool:
        """Tell whether the order of keys was meant by a person."""
        return self.node is not None

    def at(self, key: str) -> Wanted:
        """Give what is wanted of one key."""
        if not isinstance(self.node, MapNode):
            return Wanted(value=self.value[key])
        found = None if self.node.is_flow else self.node.key(key)
        return Wanted(value=self.value[key], text=self.text, node=self.node.get(key), key=found)

    def spelling(self) -> str | None:
        """Give how a scalar is spelt in one line; None where nobody spelt it so."""
        if not isinstance(self.node, Scalar) or self.node.style in ("|", ">") or self.key is None:
            return None
        spelt = self.text[self.node.start : self.node.end]
        return spelt if spelt and "\n" not in spelt else None

    def lines(self, indent: int, *, whole: bool) -> list[str] | None:
        """Give the pair's lines as spelt, with the key at `indent`; None where there are none."""
        if self.key is None or self.node is None:
            return None
        end = trimmed(self.text, max(self.node.end, self.key.end + 1))
        return pair_lines_of(self.text, self.key, end, indent, whole=whole) or None
