"""What may stand behind the question mark: each route's parameters, typed, bounded, described."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, field

from reconciler.api.wire.requests import LONGEST_TIMEOUT_S, UnacceptableError

MOST_LINES = 1_000_000

Moment = Annotated[float, Meta(ge=0, le=1e12, description="Seconds since 1970.")]
Ago = Annotated[float, Meta(ge=0, le=1e12, description="Not before this many seconds ago.")]
ServiceNames = Annotated[
    list[Annotated[str, Meta(max_length=63)]],
    Meta(max_length=10_000, description="Only this service; may be given more than once."),
]
Selectors = Annotated[
    list[Annotated[str, Meta(max_length=1000)]],
    Meta(max_length=100, description="Only services with this label, `key=value`; repeatable."),
]
Follow = Annotated[bool, Meta(description="Go on with what comes, without end.")]
ShortText = Annotated[str, Meta(max_length=1000)]


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every question may say of the place where its text is shown."""

    width: Annotated[int, Meta(ge=1, description="Columns to lay text out for.")] = 80
    color: Annotated[bool, Meta(description="Colour the text.")] = False
    fold: Annotated[
        bool, Meta(description="Break the lines of events and of the daemon's log at the width.")
    ] = False


class StatusQuery(Query, frozen=True, kw_only=True):
    """Which services, and how they are shown."""

    format: Literal["json", "table", "wide", "yaml", "name", "pid"] = "json"
    name: ServiceNames = []
    selector: Selectors = []
    problems: Annotated[bool, Meta(description="Only what is not as wanted.")] = False
    check: Annotated[
        bool, Meta(description="Make the exit code 7 when anything is not as wanted.")
    ] = False


class CatalogueQuery(Query, frozen=True, kw_only=True):
    """Which services of the catalogue."""

    format: Literal["json", "table", "yaml", "name"] = "json"
    selector: Selectors = []


class TextQuery(Query, frozen=True, kw_only=True):
    """JSON, or text for people."""

    format: Literal["json", "text"] = "json"


class MetricsQuery(Query, frozen=True, kw_only=True):
    """How usage is shown."""

    format: Literal["json", "table", "prometheus"] = "json"


class HealthQuery(Query, frozen=True, kw_only=True):
    """Which services, and how what checks say of them is shown."""

    format: Literal["json", "table"] = "json"
    name: ServiceNames = []
    check: Annotated[
        bool, Meta(description="Make the exit code 7 unless all of them are healthy.")
    ] = False


class RolloutQuery(TextQuery, frozen=True, kw_only=True):
    """Which services."""

    name: ServiceNames = []


class GraphQuery(Query, frozen=True, kw_only=True):
    """Which part of the graph, and how it is drawn."""

    format: Literal["json", "text", "mermaid", "dot"] = "json"
    name: Annotated[str, Meta(max_length=63, description="Only what is around this service.")] = ""
    order: Annotated[
        Literal["", "start", "stop"], Meta(description="Give the steps instead, as text.")
    ] = ""


class HistoryQuery(TextQuery, frozen=True, kw_only=True):
    """How much of a service's history."""

    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class EventsQuery(TextQuery, frozen=True, kw_only=True):
    """Which events."""

    after: Annotated[
        int, Meta(ge=0, le=(1 << 63) - 1, description="Only those with a larger seq.")
    ] = 0
    service: Annotated[str, Meta(max_length=63)] = ""
    since: Ago | None = None
    limit: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    follow: Follow = False


class LogsQuery(Query, frozen=True, kw_only=True):
    """Which lines of logs."""

    format: Literal["json", "text", "csv"] = "json"
    name: ServiceNames = []
    lines: Annotated[
        int, Meta(ge=0, le=MOST_LINES, description="The newest so many that match.")
    ] = field(name="n", default=100)
    every: Annotated[
        bool, Meta(description="All lines that match, oldest first, however many `n` says.")
    ] = field(name="all", default=False)
    since: Moment | None = None
    until: Moment | None = None
    grep: Annotated[ShortText, Meta(description="A regular expression the line contains.")] = ""
    level: Annotated[
        Literal["", "trace", "debug", "info", "warn", "error", "fatal"],
        Meta(description="This level and graver ones."),
    ] = ""
    fields: Annotated[
        list[ShortText],
        Meta(max_length=100, description="Only JSON lines with this field, `key=value`."),
    ] = field(name="field", default=[])
    instance: Annotated[int, Meta(ge=0, lt=1 << 31)] | None = None
    previous: Annotated[bool, Meta(description="Of the run before the present one.")] = False
    daemon: Annotated[bool, Meta(description="The daemon's own log instead.")] = False
    follow: Follow = False


class WaitQuery(TextQuery, frozen=True, kw_only=True):
    """What to wait for, and how long."""

    name: ServiceNames = []
    goal: Literal["running", "ready", "healthy", "completed", "stopped", "synced"] = field(
        name="for"
    )
    revision: Annotated[str, Meta(pattern=r"\A[0-9a-f]{0,64}\Z")] = ""
    timeout: Annotated[float, Meta(ge=0, le=LONGEST_TIMEOUT_S)] = 300.0


class MessagesQuery(Query, frozen=True, kw_only=True):
    """How the text in messages is laid out."""


Asked = TypeVar("Asked", bound=Query)


def read(pairs: Iterable[tuple[str, str]], kind: type[Asked]) -> Asked:
    """Read a query string's pairs; what is repeated and is no list counts as said last.

    >>> read([("name", "web"), ("name", "db"), ("check", "1")], StatusQuery).name
    ['web', 'db']
    """
    known, lists = _parameters(kind)
    said: dict[str, str | list[str]] = {}
    for key, value in pairs:
        if key in lists:
            said[key] = [*said.get(key, []), value]
        elif value or key not in _OPTIONAL:
            said[key] = value
    try:
        return msgspec.convert(said, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise UnacceptableError(
            f"cannot accept the query: {error}", mend=f"known parameters: {', '.join(known)}"
        ) from error


_OPTIONAL = frozenset({"since", "until", "instance"})
"""Empty, they count as not given."""


@functools.cache
def _parameters(kind: type[Query]) -> tuple[list[str], frozenset[str]]:
    """Name the parameters of a query, and those that may be given more than once."""
    found = msgspec.structs.fields(kind)
    lists = (
        item for item in found if isinstance(item.default, list) or item.default_factory is list
    )
    return sorted(i.encode_name for i in found), frozenset(i.encode_name for i in lists)


def labels(selectors: Iterable[str]) -> dict[str, str]:
    """Read selectors, several in one text or one in each.

    >>> labels(["tier=web,team=a", "zone=1"])
    {'tier': 'web', 'team': 'a', 'zone': '1'}
    """
    found: dict[str, str] = {}
    for part in (part for text in selectors for part in text.split(",")):
        key, equals, value = part.strip().partition("=")
        if not (key and equals):
            raise UnacceptableError(
                f"cannot select by {part!r}: no label and value", mend="write -l key=value"
            )
        found[key.strip()] = value.strip()
    return found
