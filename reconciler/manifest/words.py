"""Split commands into words, and find what is to be filled in for `${...}`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

PLACEHOLDERS = ("instance", "name", "port")
"""What `${...}` may ask for."""

_PLACEHOLDER = re.compile(r"\$\$|\$\{([^{}]*)(\}?)")
_QUOTING = re.compile(r"""["'\\]|[^\x20-\x7e\t\r\n]""")
"""Text without these is split at blanks alone, as most commands are; `shlex` is slow."""
_SHELL_WORDS = frozenset({"&&", "||", "|", ">", ">>", "<", "<<", ";", "&", "2>&1", "2>"})


class WordsError(ValueError):
    """A command that cannot be split; `mend` says what to write instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


def split(text: str, *, may_have_shell: bool = False) -> tuple[str, ...]:
    """Split a command as a shell splits words; nothing is expanded.

    `may_have_shell`: whether `shell: true` could be written beside it.

    >>> split("python3 -c 'print(1)'")
    ('python3', '-c', 'print(1)')
    """
    try:
        words = tuple(shlex.split(text) if _QUOTING.search(text) else text.split())
    except ValueError as why:
        if "escaped" in str(why):
            raise WordsError("the command ends with a backslash", "remove it") from why
        message = "a quote is opened and never closed"
        raise WordsError(message, "close it, or write the command as a list") from why
    if not words or not words[0]:
        raise WordsError("the command has no words", "name the program to run")
    strange = next((word for word in words if word in _SHELL_WORDS), None)
    if strange is not None:
        message = f"no shell runs this command, so `{strange}` would be passed to {words[0]}"
        mend = "add `shell: true`" if may_have_shell else 'write [sh, -c, "..."]'
        mend += f"; or, if `{strange}` is meant as a word, write a list"
        raise WordsError(message, mend)
    return words


def unknown_placeholders(text: str) -> Iterator[str]:
    """Give every `${...}` that nothing is filled in for, as written.

    >>> list(unknown_placeholders("$$ ${name} ${PORT} $HOME"))
    ['${PORT}']
    """
    if "${" not in text:
        return
    for found in _PLACEHOLDER.finditer(text):
        if found[1] is not None and (not found[2] or found[1] not in PLACEHOLDERS):
            yield found.group()


def has_placeholder(text: str, name: str) -> bool:
    """Tell whether `${name}` is filled in somewhere in a text.

    >>> [has_placeholder(text, "name") for text in ("log/${name}.log", "$${name}")]
    [True, False]
    """
    return any(found[1] == name and found[2] for found in _PLACEHOLDER.finditer(text))
