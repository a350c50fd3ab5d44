"""Write plain values as YAML: enough for documents of our own, and no library in the daemon."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*\Z")
_NOT_PLAIN = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def yaml_text(value: Any) -> str:
    """Give a value of dicts, lists and scalars as YAML 1.2 in block style.

    >>> print(yaml_text({"name": "web", "labels": {}, "pids": [1, 2], "why": "a: b"}), end="")
    name: web
    labels: {}
    pids:
      - 1
      - 2
    why: "a: b"
    """
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    """Give the lines of a value."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _entry(f"{_scalar(key)}:", item)
    elif isinstance(value, list) and value:
        for item in value:
            first, *rest = _lines(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _entry(key: str, value: Any) -> Iterator[str]:
    """Give a key and its value, below it where that has lines of its own."""
    if isinstance(value, (dict, list)) and value:
        yield key
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{key} {_scalar(value)}"


def _scalar(value: Any) -> str:
    """Give a scalar (or something empty); text is quoted unless it is a plain word."""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if _PLAIN.match(value) and value.lower() not in _NOT_PLAIN:
        return value
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(char: str) -> str:
    r"""Give a character as it stands between double quotes; Python's escapes are YAML's, too.

    >>> _escaped("a"), _escaped('"'), _escaped("\x7f"), _escaped("\u202e")
    ('a', '\\"', '\\x7f', '\\u202e')
    """
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return char.encode("utf-8", "replace").decode().encode("unicode_escape").decode()
