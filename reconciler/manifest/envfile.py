r"""Read env files: lines of `KEY=value`, as `.env` files are written everywhere.

Blank lines and lines that begin with `#` are skipped, `export ` before a key is allowed. A value is
the rest of its line without the blanks around it; in quotes it may hold anything but its own quote
and a line break. In double quotes `\\n`, `\\t`, `\\"`, `\\\\` and `\\$` are escapes. Nothing is
substituted, and an unquoted `#` belongs to the value unless a blank stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.manifest.limits import MAX_ENV_FILE_BYTES

_KEY = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'([^']*)')(?:[ \t]+\#.*)?""")
_COMMENT = re.compile(r"(?:^|[ \t])#")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """An env file as read."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """Of several lines for one key the last counts."""
    line: int = 0
    """The first line that cannot be read, from 1; 0 where there is none."""
    problem: str = ""


def read_env_file(data: bytes) -> EnvFile:
    r"""Read an env file; what is wrong is told, not raised.

    >>> read_env_file(b"# web\nPORT=8000 # tcp\nexport GREETING='a b'\n").variables
    {'PORT': '8000', 'GREETING': 'a b'}
    """
    if len(data) > MAX_ENV_FILE_BYTES:
        return EnvFile(line=1, problem=f"it is larger than {MAX_ENV_FILE_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        return EnvFile(line=data[: why.start].count(b"\n") + 1, problem="it is not UTF-8 text")
    variables: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key = _KEY.match(stripped)
        value = _value(stripped[key.end() :]) if key else None
        if key is None or value is None or "\0" in stripped:
            return EnvFile(line=number, problem="this line is not KEY=value")
        variables[key[1]] = value
    return EnvFile(variables=variables)


def _value(rest: str) -> str | None:
    """Read what follows the `=`; None where a quote is not closed, or followed by more."""
    text = rest.lstrip(" \t")
    if not text.startswith(("'", '"')):
        comment = _COMMENT.search(text) if text != rest else _COMMENT.search(text, 1)
        return text[: comment.start()].rstrip() if comment else text
    found = _QUOTED.fullmatch(text)
    if found is None:
        return None
    if found[1] is None:
        return found[2]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), found[1])
