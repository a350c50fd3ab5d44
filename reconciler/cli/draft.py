"""Write the smallest manifest for what was said on a command line."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.cli import exits
from reconciler.cli.errors import CommandError

_INDICATORS = "-?:,[]{}#&*!|>'\"%@`~="
"""Characters that a plain scalar had better not begin with."""
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "~"})
_NUMBER = re.compile(r"[-+.]?[0-9][0-9a-fA-FxoeE_.:+-]*|[-+]?\.(inf|nan)", re.IGNORECASE)
"""What some YAML reader may take for a number, a time or a date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What `register` was told."""

    name: str
    command: Sequence[str]
    cwd: str = ""
    env: Sequence[tuple[str, str]] = ()
    env_files: Sequence[str] = ()
    instances: int = 1
    needs: Sequence[str] = ()
    type: str = ""


def manifest(draft: Draft) -> str:
    """Give the manifest, with nothing in it that is the default anyway.

    >>> print(manifest(Draft(name="web", command=["python", "-m", "http.server", "8123"])), end="")
    name: web
    command: python -m http.server 8123
    """
    lines = [f"name: {scalar(draft.name)}", f"command: {scalar(shlex.join(draft.command))}"]
    if draft.cwd not in {"", "."}:
        lines.append(f"cwd: {scalar(draft.cwd)}")
    if draft.type:
        lines.append(f"type: {scalar(draft.type)}")
    if draft.instances != 1:
        lines.append(f"instances: {draft.instances}")
    lines += _block("env", [f"{scalar(key)}: {text_scalar(value)}" for key, value in draft.env])
    lines += _block("envFile", [f"- {scalar(path)}" for path in draft.env_files])
    lines += _block("dependsOn", [f"- {scalar(need)}" for need in draft.needs])
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """Write a string so that YAML reads this very string again, plain where that is clear.

    >>> scalar("python app.py"), scalar("no"), scalar("3.10"), scalar("a: b")
    ('python app.py', '"no"', '"3.10"', '"a: b"')
    """
    if _NUMBER.fullmatch(text) or text.lower() in _WORDS:
        return quoted(text)
    return text_scalar(text)


def text_scalar(text: str) -> str:
    """Write a value of `env`, where plain scalars are the text as written.

    >>> text_scalar("0800"), text_scalar(""), text_scalar("null"), text_scalar("a #b")
    ('0800', '""', '"null"', '"a #b"')
    """
    return text if _is_plain(text) else quoted(text)


def quoted(text: str) -> str:
    r"""Write a string between double quotes.

    >>> quoted('say "é"\n')
    '"say \\"é\\"\\x0a"'
    """
    return '"' + "".join(map(_escaped, text)) + '"'


def _is_plain(text: str) -> bool:
    """Tell whether YAML reads a text as the very same string without quotes."""
    return (
        text != ""
        and text.isprintable()
        and text[0] not in _INDICATORS
        and text == text.strip()
        and ": " not in text
        and " #" not in text
        and not text.endswith(":")
        and text.lower() != "null"
        and text != "..."
    )


def _escaped(char: str) -> str:
    """Write one character of a string between double quotes."""
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\U{code:08x}"


def _block(key: str, entries: Sequence[str]) -> list[str]:
    """Give a key with its entries below it; nothing where there are none."""
    return [f"{key}:", *(f"  {entry}" for entry in entries)] if entries else []


def pair(text: str) -> tuple[str, str]:
    """Split `KEY=VALUE` of the command line.

    >>> pair("PORT=80=80")
    ('PORT', '80=80')
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise CommandError(f"`{text}` is no KEY=VALUE", mend="write -e PORT=8000", code=exits.USAGE)
    return key, value


def inside(root: str, path: str) -> str:
    """Give a path as a manifest of the repository names it: relative where it lies inside."""
    whole = os.path.realpath(path)
    if whole == root or whole.startswith(root.rstrip("/") + "/"):
        return os.path.relpath(whole, root)
    return whole


def program(root: str, words: Sequence[str], cwd: str) -> list[str]:
    """Give a command whose program, where it is a relative path, is one from the repository.

    A manifest's `./serve` is looked up from the repository's top, a person's from where they are.
    """
    first = words[0]
    if "/" not in first or first.startswith("/"):
        return list(words)
    found = inside(root, f"{cwd}/{first}")
    return [found if "/" in found else f"./{found}", *words[1:]]
