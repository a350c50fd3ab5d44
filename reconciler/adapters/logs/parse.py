"""Read one line: what it says of its time and level, and what JSON holds besides.

Nothing here believes a line about who wrote it: service, instance, stream and pid come from the
file it stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from reconciler.adapters.logs.levels import level_of, level_value, syslog_level
from reconciler.adapters.logs.times import time_value
from reconciler.model.log import Level

_TIMES = ("timestamp", "time", "ts", "@timestamp", "datetime", "asctime", "date", "t")
_LEVELS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel")
_MESSAGES = ("message", "msg", "event", "text")
_ERRORS = ("error", "err", "exception", "exc_info")
_SEVERITIES = ("severity", "priority", "PRIORITY")
_RESPELT: Mapping[str, str] = {
    "@t": "timestamp",
    "@l": "level",
    "@m": "message",
    "@mt": "message",
    "@x": "exception",
    "@tr": "traceId",
    "@sp": "spanId",
    "Timestamp": "timestamp",
    "Level": "level",
    "LogLevel": "level",
    "Severity": "severity",
    "SeverityText": "level",
    "RenderedMessage": "message",
    "Message": "message",
    "MessageTemplate": "message",
    "MESSAGE": "message",
    "short_message": "message",
    "Exception": "exception",
    "TraceId": "traceId",
    "SpanId": "spanId",
    "logging.googleapis.com/trace": "traceId",
    "logging.googleapis.com/spanId": "spanId",
}
"""Keys of Serilog, .NET, Google, journald, GELF and OpenTelemetry."""
_IDS: Mapping[str, tuple[str, ...]] = {
    "requestId": ("requestId", "request_id", "reqId", "req_id", "request-id", "x-request-id"),
    "userId": ("userId", "user_id"),
    "traceId": ("traceId", "trace_id", "trace.id"),
    "spanId": ("spanId", "span_id", "span.id"),
}
_SECONDS = ("duration", "duration_s", "durationSeconds", "elapsed")
_MILLISECONDS = ("duration_ms", "durationMs", "elapsed_ms", "latency_ms", "responseTime")
_ERROR_PARTS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "type", "class"),
    "message": ("message", "msg"),
    "stack": ("stack", "stacktrace", "stack_trace"),
    "code": ("code",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What one line says."""

    message: str
    time: float | None = None
    """Of a JSON line; whoever wants that of a plain one reads it, for that costs the most."""
    level: Level | None = None
    lifted: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)
    is_json: bool = False


def parse(text: str) -> Parsed:
    """Read a line: a JSON object is taken apart, anything else is its own message.

    >>> parse('{"time": 1700000000, "level": "warn", "msg": "low", "disk": "sda"}').fields
    {'disk': 'sda'}
    >>> parse("ERROR no space").level
    <Level.ERROR: 'error'>
    """
    found = _object(text)
    if found is None:
        return Parsed(message=text, level=level_of(text))
    _respell(found)
    time, level = _take_time(found), _take_level(found)
    message = _take_message(found)
    lifted = _take_lifted(found)
    return Parsed(
        message=message, time=time, level=level, lifted=lifted, fields=found, is_json=True
    )


def _object(text: str) -> dict[str, object] | None:
    """Give a line that is one JSON object as such; None for any other."""
    if not text.startswith("{"):
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return found if isinstance(found, dict) else None


def _respell(found: dict[str, object]) -> None:
    """Give keys their usual names, and lift what some programs nest."""
    if "@t" in found:
        found.setdefault("@l", "Information")  # what Serilog leaves out
    for key, usual in _RESPELT.items():
        if key in found and usual not in found:
            found[usual] = found.pop(key)
    if "message" in found or "msg" in found:
        log = found.get("log")
        if isinstance(log, dict) and "level" in log:  # ECS
            found.setdefault("level", log.pop("level"))
        return
    inner = found.get("fields")
    if isinstance(inner, dict) and "message" in inner:  # tracing of Rust
        del found["fields"]
        found.update({**inner, **found})
    record = found.get("record")
    if isinstance(record, dict) and isinstance(record.get("level"), dict):  # loguru
        time = record.get("time")
        found["level"] = record["level"].get("name")
        found["message"] = record.get("message")
        found["time"] = time.get("timestamp") if isinstance(time, dict) else None


def _take_time(found: dict[str, object]) -> float | None:
    for key in _TIMES:
        time = time_value(found.get(key))
        if time is not None:
            del found[key]
            return time
    return None


def _take_level(found: dict[str, object]) -> Level | None:
    for key in _LEVELS:
        level = level_value(found.get(key))
        if level is not None:
            del found[key]
            return level
    for key in _SEVERITIES:
        level = syslog_level(found.get(key))
        if level is not None:
            del found[key]
            return level
    return None


def _take_message(found: dict[str, object]) -> str:
    for key in _MESSAGES:
        value = found.get(key)
        if isinstance(value, str):
            del found[key]
            return value
    return ""


def _take_lifted(found: dict[str, object]) -> dict[str, object]:
    lifted: dict[str, object] = {}
    for name, keys in _IDS.items():
        for key in keys:
            if isinstance(found.get(key), str | int):
                lifted[name] = str(found.pop(key))
                break
    duration = _take_duration(found)
    if duration is not None:
        lifted["duration"] = duration
    error = _take_error(found)
    if error:
        lifted["error"] = error
    return lifted


def _take_duration(found: dict[str, object]) -> float | None:
    """Give a duration in seconds."""
    for keys, scale in ((_SECONDS, 1.0), (_MILLISECONDS, 1000.0)):
        for key in keys:
            value = found.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool):
                del found[key]
                return value / scale
    return None


def _take_error(found: dict[str, object]) -> dict[str, object]:
    for key in _ERRORS:
        value = found.get(key)
        if isinstance(value, dict):
            del found[key]
            return _error_parts(value)
        if isinstance(value, str) and value:
            del found[key]
            return _error_of_text(value)
    return {}


def _error_parts(value: dict[str, object]) -> dict[str, object]:
    parts: dict[str, object] = {}
    for name, keys in _ERROR_PARTS.items():
        part = next((value[key] for key in keys if value.get(key) is not None), None)
        if part is not None:
            parts[name] = part
    return parts


def _error_of_text(text: str) -> dict[str, object]:
    r"""Take a traceback apart, as far as one text allows.

    >>> _error_of_text("Traceback (most recent call last):\n  ...\nValueError: no")["name"]
    'ValueError'
    """
    lines = text.rstrip().splitlines()
    if len(lines) < 2:
        return {"message": text}
    name, colon, message = lines[-1].partition(": ")
    if not colon or " " in name:
        return {"message": lines[0], "stack": text}
    return {"name": name, "message": message, "stack": text}
