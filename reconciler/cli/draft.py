"""Write the smallest manifest for what was said on a command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.manifest.render import Style, pair_lines
from reconciler.manifest.schema import SERVICE, child, load
from reconciler.manifest.words import WordsError, split


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
    said: dict[str, Any] = {
        "name": draft.name,
        "command": _command(draft.command),
        "cwd": "" if draft.cwd == "." else draft.cwd,
        "type": draft.type,
        "instances": draft.instances if draft.instances != 1 else None,
        "env": dict(draft.env),
        "envFile": list(draft.env_files),
        "dependsOn": list(draft.needs),
    }
    schema = load(SERVICE)
    lines = [
        line
        for key, value in said.items()
        if value
        for line in pair_lines(key, value, child(schema, key), 0, Style())
    ]
    return "\n".join(lines) + "\n"


def _command(words: Sequence[str]) -> str | list[str]:
    """Give a command as one text, or as a list where a text would be read as something else.

    One word that has blanks is a whole command line in quotes.

    >>> _command(["python3", "-m", "x"]), _command(["python3 -m x"]), _command(["echo", "a", ">"])
    ('python3 -m x', 'python3 -m x', ['echo', 'a', '>'])
    """
    if len(words) == 1 and len(words[0].split()) > 1:
        return words[0]
    text = shlex.join(words)
    try:
        return text if split(text) == tuple(words) else list(words)
    except WordsError:
        return list(words)


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
