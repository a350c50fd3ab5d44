"""Tell what became of a service: its states and its commits in one list, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.api.human import commit, plain
from reconciler.api.page import Page, Paint, paint
from reconciler.ports import LogEntry, TransitionRecord
from reconciler.runtime.control import History

CHANGED = "changed"
_ADOPTED = "adopted"


def history_text(history: History, page: Page) -> str:
    """Give one line for each change: when, at which commit, what, why, by whom."""
    several = len({record.instance for record in history.transitions}) > 1
    rows = [_transition(record, several) for record in history.transitions]
    rows += [_commit(entry) for entry in history.commits]
    if not rows:
        return f"Nothing has happened to {plain(history.service)} yet.\n"
    width = max(len(row.what) for row in rows)
    rows.sort(key=lambda row: row.at, reverse=True)
    return "".join(f"{_line(row, width, page)}\n" for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of the list."""

    at: float
    revision: str
    what: str
    why: str
    who: str


def _transition(record: TransitionRecord, several: bool) -> _Row:
    """Give one change of state; the instance is named where it is not the only one."""
    which = f"{record.instance}: " if several and record.instance else ""
    what, why = f"{record.before} -> {record.after}", record.reason
    if why.startswith(_ADOPTED):
        # It ran all the time; only this daemon had not seen it yet.
        what, why = _ADOPTED, why.removeprefix(_ADOPTED).removeprefix(", ")
    return _Row(
        at=record.time,
        revision=record.revision,
        what=plain(what),
        why=plain(which + why),
        who=record.actor,
    )


def _commit(entry: LogEntry) -> _Row:
    """Give one commit that touched the service's file."""
    return _Row(
        at=entry.at,
        revision=entry.commit,
        what=CHANGED,
        why=plain(entry.subject),
        who=entry.author.partition(" <")[0],
    )


def _line(row: _Row, width: int, page: Page) -> str:
    """Give one line; a change of the manifest stands out."""
    colour = Paint.BOLD if row.what == CHANGED else Paint.PLAIN
    who = f" (by {plain(row.who)})" if row.who else ""
    what = paint(f"{row.what:<{width}}", colour, page)
    return f"{_when(row.at, page)}  {_short(row.revision)}  {what}  {row.why}{who}".rstrip()


def _when(at: float, page: Page) -> str:
    """Give the moment, quietly."""
    text = datetime.fromtimestamp(at, page.zone).strftime("%Y-%m-%d %H:%M:%S")
    return paint(text, Paint.DIM, page)


def _short(revision: str) -> str:
    """Give a commit's short name in a column of its own; empty before the first commit."""
    return f"{commit(plain(revision)) if revision else '-':<7}"
