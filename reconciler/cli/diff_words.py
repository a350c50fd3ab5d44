"""What the forms of a diff have in common: which changes there are, in which words."""

from __future__ import annotations

from typing import Any

from reconciler.api.diff_text import EFFECT_WORDS
from reconciler.api.diff_text import moved as moved_text
from reconciler.api.human import NOTHING, count, listing, plain
from reconciler.cli.client import Json
from reconciler.cli.masking import masked, without_words
from reconciler.model.change import Effect

MOST_OF_A_VALUE = 300
"""Characters."""

_RANKS = [effect.value for effect in EFFECT_WORDS]
_COUNTED = ("start", "restart", "reload", "stop", "update", "held", "invalid", "unchanged")


def below(document: Json, folder: str) -> Json:
    """Give a document whose files are called as from the top of the repository."""
    return {**_below(document, folder), "folder": folder}


def _below(value: Any, folder: str) -> Any:
    if isinstance(value, list):
        return [_below(item, folder) for item in value]
    if isinstance(value, dict):
        return {
            key: folder + item if key == "file" else _below(item, folder)
            for key, item in value.items()
        }
    return value


def changes(document: Json) -> list[Json]:
    """Give everything that would be done something about, or is held, drift included."""
    return [*document["changes"], *document["drift"]]


def would(change: Json) -> str:
    """Say what would be done to a service."""
    actions = [action for action in change["actions"] if action != "none"]
    if change["heldBy"]:
        return "held"
    return " + ".join(actions) or "nothing"


def because(change: Json) -> str:
    """Say why, or why not."""
    return plain(change["heldBy"] or change["reason"])


def counts(document: Json) -> str:
    """Say in one line how much it is."""
    summary = document["summary"]
    parts = [f"{summary[word]} {word}" for word in _COUNTED if summary[word]]
    return ", ".join(parts) or "no services"


def reach(document: Json) -> str:
    """Say how many running processes are affected, and whose they are."""
    if not document["processes"]:
        return "No running process affected."
    names = [change["service"] for change in changes(document) if change["processes"]]
    number = count(document["processes"], "running process", "running processes")
    return f"{number} affected: {plain(listing(names))}."


def moved(document: Json) -> str:
    """Say that the base branch has changed the same services; empty where it has not."""
    names = document.get("moved")
    return plain(moved_text(names)) if names else ""


def value(field: Json, side: str) -> str | None:
    """Give a field's value before or after: no secret, and of a bearable length."""
    text = masked(field["path"], field[side])
    if text is not None and len(text) > MOST_OF_A_VALUE:
        return f"{text[:MOST_OF_A_VALUE]}…"
    return text


def effect(field: Json) -> str:
    """Say in a word what the change of a field does to processes.

    >>> effect({"effect": "metadata"}), effect({"effect": "restart"})
    ('none', 'restart')
    """
    return EFFECT_WORDS[Effect(field["effect"])]


def rank(field: Json) -> int:
    """Give a field's place among others: what a change of it does to processes comes first."""
    return _RANKS.index(field["effect"])


def field_line(field: Json) -> str:
    """Give a field's change in one line."""
    before, after = (_or_nothing(value(field, side)) for side in ("before", "after"))
    return f"{plain(field['path'])}: {before} -> {after} ({effect(field)})"


def fault_text(fault: Json) -> str:
    """Say what is wrong, with the mend on a line of its own."""
    said = without_words(fault["message"])
    return f"{said}\nmend: {fault['mend']}" if fault["mend"] else said


def place(fault: Json) -> str:
    """Give a place as editors take it."""
    return f"{fault['file']}:{fault['line']}:{fault['column']}"


def _or_nothing(text: str | None) -> str:
    return NOTHING if text is None else plain(text) or '""'
