"""Tell files that do not count: by patterns as in a .gitignore, the last that fits decides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

ALWAYS = (
    ".git/",
    ".hg/",
    ".weaver/",
    ".weaver-schema/",
    "/services.d/",
    "/weaver.yaml",
    "__pycache__/",
    "node_modules/",
    ".venv/",
    "venv/",
    ".tox/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".idea/",
    ".vscode/",
    "*.pyc",
    "*.pyo",
    "*.log",
    "*.log.*",
    ".DS_Store",
    "*~",
    "*.sw[opx]",
    "*.tmp",
    ".#*",
    "#*#",
    "4913",
    ".goutputstream-*",
    "___jb_*___",
)
"""What is nobody's code, or Weaver's own; a pattern of `ignore` with a `!` brings it back."""


class Ignore:
    """The patterns of one service."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [_compiled(pattern) for pattern in (*ALWAYS, *patterns)]

    def covers(self, path: str, *, is_folder: bool, below: int = 0) -> bool:
        """Tell whether a file or folder does not count, by its path relative to the repository.

        Its first `below` steps were asked for by name, so that they count whatever they are.

        >>> Ignore(["*.csv", "!keep.csv", "/data/"]).covers("app/x.csv", is_folder=False)
        True
        >>> Ignore(["*.csv", "!keep.csv", "/data/"]).covers("app/keep.csv", is_folder=False)
        False
        """
        steps = path.split("/")
        return any(
            self._covers("/".join(steps[:count]), is_folder=is_folder or count < len(steps))
            for count in range(below + 1, len(steps) + 1)
        )

    def _covers(self, path: str, *, is_folder: bool) -> bool:
        is_covered = False
        for pattern, is_negated, only_folders in self._patterns:
            if (is_folder or not only_folders) and pattern.fullmatch(path):
                is_covered = not is_negated
        return is_covered


@cache
def _compiled(pattern: str) -> tuple[re.Pattern[str], bool, bool]:
    """Give what a pattern fits, whether it brings back, and whether it means folders only."""
    is_negated = pattern.startswith("!")
    text = pattern[is_negated:]
    only_folders = text.endswith("/")
    text = text.rstrip("/")
    is_anchored = "/" in text
    text = text.removeprefix("/")
    beginning = "" if is_anchored else "(?:.*/)?"
    return re.compile(beginning + _expression(text), re.DOTALL), is_negated, only_folders


def _expression(text: str) -> str:
    found, at = "", 0
    while at < len(text):
        if text.startswith("**/", at):
            found, at = found + "(?:.*/)?", at + 3
        elif text.startswith("**", at):
            found, at = found + ".*", at + 2
        elif text[at] in "*?":
            found, at = found + ("[^/]*" if text[at] == "*" else "[^/]"), at + 1
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            inner = text[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            inner = f"^{inner[1:]}" if inner.startswith("!") else inner
            found, at = f"{found}[{inner}]", end + 1
        else:
            found, at = found + re.escape(text[at]), at + 1
    return found
