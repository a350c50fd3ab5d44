"""Answer what goes on for a while: events and logs as they come, long verbs as they work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import TypeVar

from starlette.responses import Response

from reconciler.api.ask import Ask
from reconciler.api.events_text import event_line, events_text
from reconciler.api.log_text import daemon_log_text, log_csv, log_text
from reconciler.api.replies import CSV, EVENTS, LINES, TEXT, StreamReply, reply_json, reply_text
from reconciler.api.standing import several
from reconciler.api.streams import BusyError
from reconciler.api.wire import requests as bodies
from reconciler.api.wire.base import line
from reconciler.api.wire.messages import message_keys
from reconciler.api.wire.queries import EventsQuery, LogsQuery, Query
from reconciler.api.wire.records import event_keys, events_document, log_keys
from reconciler.model.log import LogLine, LogQuery
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord, WeaverError
from reconciler.runtime.messages import Message, Problem, Summary
from reconciler.runtime.requests import (
    AcceptHistory,
    ApprovePrune,
    EventQuery,
    OperationRequest,
    Reexec,
    Sync,
)

INTERNAL_ERROR = 255

T = TypeVar("T")

log = logging.getLogger(__name__)


# --- what comes ------------------------------------------------------------------------------


async def events(ask: Ask, query: EventsQuery) -> Response:
    """Give stored events; with `follow` also those to come, as server-sent events or text."""
    many = several((await ask.control.scene()).picture.services.values())
    if query.follow:
        return await _follow_events(ask, query, many)
    records = await ask.control.events(_event_query(ask, query))
    if query.format == "text":
        return reply_text(events_text(records, ask.page, many))
    return reply_json(events_document(records))


async def _follow_events(ask: Ask, query: EventsQuery, many: frozenset[str]) -> Response:
    """Give events as they come."""

    def as_text(batch: Sequence[EventRecord]) -> bytes:
        return "".join(f"{event_line(r, ask.page, many)}\n" for r in batch).encode()

    write = as_text if query.format == "text" else _server_sent
    media_type = TEXT if query.format == "text" else EVENTS
    return await _stream(ask, _stored_and_new(ask, query), write, media_type)


def _server_sent(batch: Sequence[EventRecord]) -> bytes:
    """Write events for an EventSource; an empty batch is a comment, which is a sign of life."""
    if not batch:
        return b": still here\n\n"
    return b"".join(
        b"id: %d\nevent: %s\ndata: %s\n" % (r.seq, r.kind.encode(), line(event_keys(r)))
        for r in batch
    )


async def _stored_and_new(ask: Ask, query: EventsQuery) -> AsyncIterator[EventRecord]:
    """Give the newest stored events, then new ones; after a known one, all that followed it."""
    after = query.after or ask.last_event
    if not after:
        for record in await ask.control.events(_event_query(ask, query)):
            yield record
            after = record.seq
    async for record in ask.control.follow(EventQuery(after=after, service=query.service)):
        yield record


def _event_query(ask: Ask, query: EventsQuery) -> EventQuery:
    """Give what is asked of the record."""
    since = None if query.since is None else ask.backend.wall() - query.since
    return EventQuery(after=query.after, service=query.service, since=since, limit=query.limit)


async def logs(ask: Ask, query: LogsQuery) -> Response:
    """Give lines of logs; with `follow` also those to come."""
    asked = LogQuery(
        services=tuple(ServiceName(name) for name in dict.fromkeys(query.name)),
        lines=None if query.every else query.lines,
        follow=query.follow,
        since=query.since,
        until=query.until,
        grep=query.grep,
        level=query.level,
        fields=_fields(query.fields),
        instance=query.instance,
        previous=query.previous,
        daemon=query.daemon,
    )
    source = ask.control.logs(asked)
    match query.format:
        case "json":
            return await _stream(ask, source, _json_lines, LINES)
        case "csv":
            return await _stream(ask, source, _rows(), CSV)
        case "text":
            return await _stream(ask, source, await _printer(ask, asked), TEXT)


def _fields(said: Sequence[str]) -> dict[str, str]:
    """Read `key=value` texts; the value may have `=` in it."""
    for text in said:
        if "=" not in text.removeprefix("="):
            raise bodies.UnacceptableError(
                f"cannot look for the field {text!r}: no key and value", mend="write key=value"
            )
    return dict(text.split("=", 1) for text in said)


def _json_lines(batch: Sequence[LogLine]) -> bytes:
    """Write lines as JSON, one object each."""
    return b"".join(line(log_keys(entry)) for entry in batch)


def _rows() -> Callable[[Sequence[LogLine]], bytes]:
    """Write lines as CSV, the titles before the first ones."""
    titles = iter([True])

    def write(batch: Sequence[LogLine]) -> bytes:
        return log_csv(batch, titles=next(titles, False)).encode("utf-8", "replace")

    return write


async def _printer(ask: Ask, asked: LogQuery) -> Callable[[Sequence[LogLine]], bytes]:
    """Write lines as text, with names before them where they come from several places."""
    many = several((await ask.control.scene()).picture.services.values())
    one = len(asked.services) == 1 and (asked.services[0] not in many or asked.instance is not None)

    def write(batch: Sequence[LogLine]) -> bytes:
        text = log_text(batch, ask.page, prefixed=not (one or asked.daemon), several=many)
        if asked.daemon:
            text = daemon_log_text(text, ask.page)
        return text.encode("utf-8", "replace")

    return write


async def _stream(
    ask: Ask,
    source: AsyncIterator[T],
    write: Callable[[Sequence[T]], bytes],
    media_type: str,
) -> Response:
    """Stream a source; what it refuses at its first step is a problem, not a broken stream."""
    if ask.backend.streams.is_full:
        raise BusyError("cannot open another stream: too many are open", mend="close one")
    batches = ask.backend.streams.follow(source)
    first: list[T] = await anext(batches, [])

    async def chunks() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(batches):
            yield write(first)
            async for batch in batches:
                yield write(batch)
        if media_type == EVENTS and ask.backend.streams.is_closing:
            yield b": %s\nretry: 500\n\n" % ask.backend.streams.farewell.encode()

    return StreamReply(chunks(), media_type)


# --- what is done ----------------------------------------------------------------------------


async def change(ask: Ask, _query: Query) -> Response:
    """Change manifests: they are committed, and the commit is put into force."""
    body: bodies.ChangeBodies = ask.body
    terms = bodies.terms(body, ask.uid)
    return _tell(ask, ask.control.change(bodies.change(body), terms))


async def operate(ask: Ask, _query: Query) -> Response:
    """Do what changes no manifest."""
    body: bodies.OperationBodies = ask.body
    return _perform(ask, bodies.operation(body), body)


async def approve(ask: Ask, _query: Query) -> Response:
    """Let a large removal that is held happen."""
    return _perform(ask, ApprovePrune(prune_id=ask.parameters["id"]), ask.body)


async def sync(ask: Ask, _query: Query) -> Response:
    """Fetch and read what is followed now."""
    return _perform(ask, Sync(revision=ask.body.revision), ask.body)


async def accept_history(ask: Ask, _query: Query) -> Response:
    """Follow a branch whose history was rewritten."""
    return _perform(ask, AcceptHistory(commit=ask.body.commit), ask.body)


async def shut_down(ask: Ask, _query: Query) -> Response:
    """Stop everything, or leave everything running, and end."""
    return _perform(ask, bodies.shutdown(ask.body), ask.body)


async def reexec(ask: Ask, _query: Query) -> Response:
    """Replace the programs of holder and daemon in place."""
    return _perform(ask, Reexec(), ask.body)


def _perform(ask: Ask, request: OperationRequest, body: bodies.Body) -> Response:
    """Ask for an operation and tell how it goes."""
    return _tell(ask, ask.control.operate(request, bodies.terms(body, ask.uid)))


def _tell(ask: Ask, messages: AsyncIterator[Message]) -> Response:
    """Stream what a long verb says; it goes on to its end though the client may leave."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        try:
            async for batch in ask.backend.streams.carry_through(messages):
                yield _written(ask, batch)
        except WeaverError as error:
            yield _written(ask, _failure(str(error), error.mend, error.exit_code))
        except Exception:
            log.exception("a long verb broke")
            yield _written(ask, _failure("internal error", "weaver logs --daemon", INTERNAL_ERROR))

    return StreamReply(chunks(), LINES, exit_code=None)


def _written(ask: Ask, messages: Sequence[Message]) -> bytes:
    """Write messages, one a line."""
    return b"".join(line(message_keys(message, ask.page)) for message in messages)


def _failure(title: str, mend: str, exit_code: int) -> tuple[Message, Message]:
    """Give the last two messages of a verb that broke."""
    return (
        Problem(title=title, mend=mend, exit_code=exit_code),
        Summary(exit_code=exit_code, text=title),
    )
