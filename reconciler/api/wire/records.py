"""What happened and what was said: events, history, lines of logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from reconciler.api.wire.base import Document, Wire, timestamp
from reconciler.model.log import LogLine
from reconciler.ports import EventRecord, LogEntry, TransitionRecord
from reconciler.runtime.control import History


class EventKeys(Wire, frozen=True, kw_only=True):
    """One event; `seq` counts without gaps."""

    seq: int
    time: str
    kind: str
    service: str | None
    instance: str | None
    reason: str
    revision: str | None
    actor: str | None
    data: dict[str, str | int | float | bool | None]


class EventsDocument(Document, frozen=True, kw_only=True):
    """Events in their order."""

    events: list[EventKeys]


class TransitionKeys(Wire, frozen=True, kw_only=True):
    """One change of an instance's state."""

    time: str
    instance: str
    from_state: str
    to_state: str
    reason: str
    actor: str | None
    revision: str | None
    spec_digest: str | None


class CommitKeys(Wire, frozen=True, kw_only=True):
    """One commit that touched a service's file."""

    sha: str
    author: str
    time: str
    subject: str
    trailers: dict[str, str]


class HistoryDocument(Document, frozen=True, kw_only=True):
    """What became of a service, newest first."""

    service: str
    transitions: list[TransitionKeys]
    commits: list[CommitKeys]


class LogKeys(Wire, frozen=True, kw_only=True):
    """One line of a log; what was lifted out of a JSON line is there only where the line had it."""

    timestamp: str | None
    timestamp_source: str
    service: str
    service_version: str
    instance: str
    pid: int | None
    stream: str
    level: str | None
    message: str
    request_id: Any = UNSET
    user_id: Any = UNSET
    trace_id: Any = UNSET
    span_id: Any = UNSET
    duration: Any = UNSET
    error: Any = UNSET
    fields: dict[str, Any]


def event_keys(record: EventRecord) -> EventKeys:
    """Write one event."""
    return EventKeys(**event_fields(record))


def event_fields(record: EventRecord) -> dict[str, Any]:
    """Give the fields of an event, for those who write it under another type."""
    return {
        "seq": record.seq,
        "time": timestamp(record.time),
        "kind": record.kind,
        "service": record.service or None,
        "instance": record.instance or None,
        "reason": record.reason,
        "revision": record.revision or None,
        "actor": record.actor or None,
        "data": dict(record.data),
    }


def events_document(records: Sequence[EventRecord]) -> EventsDocument:
    """Write events."""
    return EventsDocument(events=[event_keys(record) for record in records])


def history_document(history: History) -> HistoryDocument:
    """Write what became of a service."""
    return HistoryDocument(
        service=history.service,
        transitions=[_transition(record) for record in history.transitions],
        commits=[commit_keys(entry) for entry in history.commits],
    )


def commit_keys(entry: LogEntry) -> CommitKeys:
    """Write one commit."""
    return CommitKeys(
        sha=entry.commit,
        author=entry.author,
        time=timestamp(entry.at),
        subject=entry.subject,
        trailers=dict(entry.trailers),
    )


def log_keys(entry: LogLine) -> LogKeys:
    """Write one line of a log.

    Only known keys are lifted, so that no line can pass itself off as another service's.
    """
    lifted = entry.lifted
    return LogKeys(
        timestamp=None if entry.timestamp is None else timestamp(entry.timestamp),
        timestamp_source=entry.timestamp_source,
        service=entry.service,
        service_version=entry.service_version,
        instance=entry.instance,
        pid=entry.pid,
        stream=entry.stream,
        level=entry.level or None,
        message=entry.message,
        request_id=lifted.get("requestId", UNSET),
        user_id=lifted.get("userId", UNSET),
        trace_id=lifted.get("traceId", UNSET),
        span_id=lifted.get("spanId", UNSET),
        duration=lifted.get("duration", UNSET),
        error=lifted.get("error", UNSET),
        fields=dict(entry.fields),
    )


def _transition(record: TransitionRecord) -> TransitionKeys:
    """Write one change of state."""
    return TransitionKeys(
        time=timestamp(record.time),
        instance=record.instance,
        from_state=record.before,
        to_state=record.after,
        reason=record.reason,
        actor=record.actor or None,
        revision=record.revision or None,
        spec_digest=record.digest or None,
    )
