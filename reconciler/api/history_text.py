"""Tell what became of a service: its states and its commits in one list, the newest first."""

from __future__ import annotations

from datetime import datetime

from reconciler.api.human import commit, plain
from reconciler.api.page import Page, Paint, paint
from reconciler.ports import LogEntry, TransitionRecord
from reconciler.runtime.control import History

CHANGE_WIDTH = 22


def history_text(history: History, page: Page) -> str:
    """Give one line for each change: when, what, at which commit, why, by whom."""
    entries = [(t.time, _transition(t, page, history)) for t in history.transitions]
    entries += [(entry.at, _commit(entry, page)) for entry in history.commits]
    if not entries:
        return f"Nothing has happened to {plain(history.service)} yet.\n"
    entries.sort(key=lambda entry: entry[0], reverse=True)
    return "\n".join(line.rstrip() for _, line in entries) + "\n"


def _transition(record: TransitionRecord, page: Page, history: History) -> str:
    """Give one change of state; the instance is named where it is not the only one."""
    instances = {other.instance for other in history.transitions}
    which = f"{record.instance}: " if len(instances) > 1 and record.instance else ""
    change = f"{record.before} -> {record.after}"
    who = f"  (by {plain(record.actor)})" if record.actor else ""
    said = plain(which + record.reason) + who
    return (
        f"{_when(record.time, page)}  {_short(record.revision)}  {change:<{CHANGE_WIDTH}}  {said}"
    )


def _commit(entry: LogEntry, page: Page) -> str:
    """Give one commit that touched the service's file."""
    what = paint(f"{'changed':<{CHANGE_WIDTH}}", Paint.BOLD, page)
    said = f"{plain(entry.subject)}  (by {plain(entry.author)})"
    return f"{_when(entry.at, page)}  {_short(entry.commit)}  {what}  {said}"


def _when(at: float, page: Page) -> str:
    """Give the moment, quietly."""
    text = datetime.fromtimestamp(at, page.zone).strftime("%Y-%m-%d %H:%M:%S")
    return paint(text, Paint.DIM, page)


def _short(revision: str) -> str:
    """Give a commit's short name in a column of its own; empty before the first commit."""
    return f"{commit(plain(revision)) if revision else '-':<7}"
