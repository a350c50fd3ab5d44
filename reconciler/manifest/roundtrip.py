"""Edit a document by ruamel.yaml's round trip: for layouts that splice.py does not know.

Comments, key order and quotes survive; blanks inside of lines may not. Splicing is tried first,
because a round trip touches lines that nobody meant to touch.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from reconciler.manifest.render import Style
from reconciler.manifest.splice import LayoutError


def rewrite(text: str, value: dict[str, Any], before: dict[str, Any], style: Style) -> str:
    """Give a document's text with another meaning; `before` is what it means now."""
    yaml: Any = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=style.step, sequence=style.dash + 2, offset=style.dash)
    try:
        document = yaml.load(text.replace("\r\n", "\n"))
        _merge(document, value, before)
        out = io.StringIO()
        yaml.dump(document, out)
    except (YAMLError, AttributeError, TypeError, ValueError, RecursionError) as why:
        raise LayoutError(f"ruamel.yaml cannot write it: {why}") from why
    written = out.getvalue()
    if not text.startswith("---"):
        written = written.removeprefix("---\n")
    return written.replace("\n", style.newline)


def _merge(node: CommentedMap, value: dict[str, Any], before: dict[str, Any]) -> None:
    for key in [key for key in node if key not in value]:
        del node[key]
    for key, wanted in value.items():
        was = before.get(key)
        if key in node and wanted == was:
            continue
        found = node.get(key)
        if isinstance(found, CommentedMap) and isinstance(wanted, dict) and isinstance(was, dict):
            _merge(found, wanted, was)
        elif isinstance(found, CommentedSeq) and isinstance(wanted, list):
            found[:] = wanted
        else:
            node[key] = wanted
