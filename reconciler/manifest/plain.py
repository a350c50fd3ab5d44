"""Read plain scalars by the core schema of YAML 1.2, and nothing beyond it.

`no`, `on`, `1:30`, `2001-01-01` and `1_000` are text; `0800` is eight hundred, `0o17` is fifteen.
"""

from __future__ import annotations

import math
import re

from reconciler.manifest.limits import MAX_DIGITS
from reconciler.manifest.nodes import Unfit

_WORDS: dict[str, bool | Unfit | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
} | {
    sign + word: Unfit(sign + word)
    for sign, word in [(sign, word) for sign in ("", "-", "+") for word in (".inf", ".Inf", ".INF")]
    + [("", word) for word in (".nan", ".NaN", ".NAN")]
}
_NUMBER_BEGINS = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = {"0o": 8, "0x": 16}


def resolve(text: str) -> bool | int | float | str | Unfit | None:
    """Give the value of a plain scalar.

    >>> [resolve(text) for text in ("no", "~", "0800", "1e3", "1:30", "0x10")]
    ['no', None, 800, 1000.0, '1:30', 16]
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_BEGINS:
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            return Unfit(text)
        base = _BASES.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)
    if _FLOAT.fullmatch(text):
        number = float(text) if len(text) <= 4 * MAX_DIGITS else math.inf
        return number if math.isfinite(number) else Unfit(text)
    return text
