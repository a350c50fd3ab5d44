"""Guess what was meant by a word that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reconciler.manifest.nodes import Path
from reconciler.manifest.schema import Schema

MOST_NAMED = 10
"""Keys that are told as all there are; more would be a page of them."""
_ELSEWHERE = {
    "autorestart": "restart",
    "cmd": "command",
    "count": "instances",
    "depends": "dependsOn",
    "directory": "cwd",
    "entrypoint": "command",
    "environment": "env",
    "exec": "command",
    "exec_start": "command",
    "execstart": "command",
    "health": "healthCheck",
    "id": "name",
    "logfile": "logFile",
    "needs": "dependsOn",
    "numprocs": "instances",
    "replicas": "instances",
    "requires": "dependsOn",
    "run": "command",
    "script": "command",
    "service": "name",
    "stdout_logfile": "logFile",
    "user_env": "env",
    "workdir": "cwd",
    "working_dir": "cwd",
    "workingdirectory": "cwd",
}
"""What other programs call the same."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """Give the known word that `word` is most likely meant to be, if any comes near.

    >>> closest("restrat", ["restart", "ready"]), closest("image", ["env"])
    ('restart', None)
    """
    from difflib import get_close_matches  # the daemon seldom needs it

    by_lower = {name.lower(): name for name in sorted(known)}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give a mend with the closest known word; empty where none comes near."""
    found = closest(word, known)
    return f"did you mean `{found}`?" if found else ""


def key_mend(word: str, path: Path, schema: Schema, top: Schema) -> str:
    """Say what to write instead of an unknown key of a mapping."""
    known = schema.get("properties", {})
    squeezed = word.replace("_", "").replace("-", "")
    alias = _ELSEWHERE.get(word.lower())
    found = alias if alias in known else closest(word, known) or closest(squeezed, known)
    if found is not None:
        return f"did you mean `{found}`?"
    if word == "<<":
        return "merge keys are not YAML 1.2; write the keys out"
    near = [home for home in _homes(word, top, ()) if _is_near(home, path)]
    # What lies in the mapping itself is meant before what lies around it.
    home = next((home for home in near if len(home) > len(path)), near[0] if near else None)
    if home is not None:
        return f"it belongs into `{'.'.join(home)}`" if home else "it belongs to the top level"
    return f"known here: {', '.join(known)}" if len(known) <= MOST_NAMED else ""


def service_name(text: str) -> str:
    """Make a service name of any text; empty where nothing is left of it.

    >>> service_name("My Web_API!")
    'my-web-api'
    """
    return re.sub(r"[^a-z0-9.]+", "-", text.lower())[:63].strip("-.")


def _is_near(home: tuple[str, ...], path: Path) -> bool:
    """Tell whether a mapping lies around another, or in it: only such a one may be meant."""
    return all(own == other for own, other in zip(home, path, strict=False))


def _homes(word: str, schema: Schema, path: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """Give the mappings that know a key, outermost first."""
    properties = schema.get("properties", {})
    if word in properties:
        yield path
    for key, inner in properties.items():
        yield from _homes(word, inner, (*path, key))
