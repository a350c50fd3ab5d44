"""Say what happens, one line an event: the foreground's voice and `weaver events`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from reconciler.api.human import commit, plain
from reconciler.api.page import Page, Paint, fold, paint
from reconciler.ports import EventRecord

SUBJECT_WIDTH = 12
WORD_WIDTH = 10
INDENT = 8 + 2 + SUBJECT_WIDTH + 1 + WORD_WIDTH + 2
"""Of what does not fit on an event's line: where reasons begin, but for long names."""

_PAINTS = {
    "ready": Paint.GOOD,
    "running": Paint.GOOD,
    "recovered": Paint.GOOD,
    "completed": Paint.GOOD,
    "ok": Paint.GOOD,
    "starting": Paint.BUSY,
    "stopping": Paint.BUSY,
    "crashed": Paint.BAD,
    "gave up": Paint.BAD,
    "degraded": Paint.BAD,
    "failed": Paint.BAD,
    "refused": Paint.BAD,
}


def event_line(record: EventRecord, page: Page, several: Collection[str] = ()) -> str:
    """Say one event in one line: when, of whom, what, why.

    Services named in `several` have more than one instance, and the line says which.

    >>> crash = EventRecord(seq=7, time=1700000000.5, kind="service.crashed", service="web",
    ...     instance="web-0", reason="exited with 1", revision="", actor="")
    >>> event_line(crash, Page())
    '22:13:20  web          crashed     exited with 1'
    """
    subject, word = _subject_and_word(record, several)
    when = datetime.fromtimestamp(record.time, page.zone).strftime("%H:%M:%S")
    coloured = paint(f"{word:<{WORD_WIDTH}}", _PAINTS.get(word, Paint.PLAIN), page)
    line = f"{paint(when, Paint.DIM, page)}  {subject:<{SUBJECT_WIDTH}} {coloured}"
    begun = len(f"{when}  {subject:<{SUBJECT_WIDTH}} {word:<{WORD_WIDTH}}  ")
    return f"{line}  {fold(_details(record), page, begun=begun, indent=INDENT)}".rstrip()


def events_text(records: Collection[EventRecord], page: Page, several: Collection[str] = ()) -> str:
    """Give a list of events, a line each, a heading where a new day begins."""
    if not records:
        return "No events yet. `weaver up` starts the services of this directory.\n"
    lines = []
    today = ""
    for record in records:
        day = datetime.fromtimestamp(record.time, page.zone).strftime("%Y-%m-%d")
        if day != today:
            lines.append(paint(day, Paint.BOLD, page))
            today = day
        lines.append(event_line(record, page, several))
    return "\n".join(lines) + "\n"


def _subject_and_word(record: EventRecord, several: Collection[str]) -> tuple[str, str]:
    """Split a kind into whom it is about and what happened to it."""
    topic, _, what = plain(record.kind).partition(".")
    word = what.replace("-", " ")
    if not record.service:
        return topic, word
    named = record.instance if record.service in several and record.instance else record.service
    return plain(named), word if topic == "service" else f"{topic} {word}"


def _details(record: EventRecord) -> str:
    """Give the reason, and who asked or which commit where that is what the event is about."""
    parts = [plain(record.reason)]
    about = str(record.data.get("commit") or record.revision)
    if about and record.kind.startswith(("git.", "config.")):
        name = commit(plain(about))
        if name not in record.reason:
            parts.insert(0, name)
    if record.actor:
        parts.append(f"(by {plain(record.actor)})")
    return " ".join(part for part in parts if part)
