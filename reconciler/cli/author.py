"""Who asks: the identity that git would write into a commit made here and now."""

from __future__ import annotations

import re
import subprocess

_IDENT = re.compile(r"(?P<name>.*) <(?P<email>[^<>]*)> \d+ [+-]\d{4}")


def author(root: str) -> dict[str, str] | None:
    """Give name and email as git knows them for a repository; None where it does not."""
    try:
        said = subprocess.run(
            ["git", "-C", root, "var", "GIT_AUTHOR_IDENT"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse(said.stdout.strip()) if said.returncode == 0 else None


def parse(ident: str) -> dict[str, str] | None:
    """Split an identity as `git var` prints it.

    >>> parse("Ana <ana@example.org> 1700000000 +0100")
    {'name': 'Ana', 'email': 'ana@example.org'}
    """
    found = _IDENT.fullmatch(ident)
    return found.groupdict() if found else None
