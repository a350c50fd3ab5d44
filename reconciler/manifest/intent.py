"""What a person wants changed in the manifests, free of any file's present text.

Intents are replayed on whatever text a file has: the commit's, the index entry's, the saved one.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.units import ServiceName

_SECRET = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "DSN")
"""A variable whose name contains one of these keeps its value out of commit messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetField:
    """Set one value of a service's manifest; `value` is YAML text, as typed by the person."""

    service: ServiceName
    path: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveField:
    """Remove one key of a service's manifest."""

    service: ServiceName
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutService:
    """Make a service's document equal to `text` (one YAML document).

    Comments of untouched lines are kept; a new service gets `services.d/<name>.yaml`.
    """

    service: ServiceName
    text: str
    verbatim: bool = False
    """The text was made from the present one, by a person in an editor: take it as it is,
    changed comments included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveService:
    """Remove a service's document, and its file when nothing else is left in it."""

    service: ServiceName


Intent = SetField | RemoveField | PutService | RemoveService


def is_secret(path: str) -> bool:
    """Tell whether a field is called as secrets are.

    >>> is_secret("env.DB_PASSWORD"), is_secret("env.PORT")
    (True, False)
    """
    return any(word in path.upper() for word in _SECRET)
