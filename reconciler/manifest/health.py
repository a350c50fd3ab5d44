"""Read how a service is checked, and say it in the fields that people write."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from reconciler.manifest import durations
from reconciler.manifest.words import split
from reconciler.model.health import (
    CheckType,
    CommandCheck,
    CustomCheck,
    HealthCheck,
    HttpCheck,
    McpCheck,
    TcpCheck,
    Threshold,
)
from reconciler.model.units import Nanos

Document = Mapping[str, Any]

_SPANS = {
    "interval": "interval",
    "timeout": "timeout",
    "startPeriod": "start_period",
    "startInterval": "start_interval",
}
_COUNTS = {"retries": "retries", "successThreshold": "success_threshold"}
_HTTP = {
    "url": "url",
    "method": "method",
    "headers": "headers",
    "body": "body",
    "expectedBody": "expected_body",
    "verifyTls": "verify_tls",
    "maxRedirects": "max_redirects",
}
_COMMAND = {"expectedExitCode": "expected_exit_code", "expectedOutput": "expected_output"}
_MCP = {"url": "url", "headers": "headers", "verifyTls": "verify_tls"}
_THRESHOLD = {"consecutiveFailures": "consecutive_failures"}


def health_of(value: Document) -> HealthCheck:
    """Give the check that a valid manifest means."""
    found: dict[str, Any] = {
        field: durations.read(value[key]) for key, field in _SPANS.items() if key in value
    }
    if "timeout" not in value:
        found["timeout"] = _usual_timeout(found.get("interval"))
    found |= _taken(value, _COUNTS)
    for key, make in _TARGETS.items():
        if key in value:
            found[key] = make(value[key])
    if "degradationThreshold" in value:
        found["threshold"] = _threshold(value["degradationThreshold"])
    return HealthCheck(type=CheckType(value["type"]), **found)


def _usual_timeout(interval: Nanos | None) -> Nanos:
    """Give the timeout where none is written: not longer than the interval."""
    usual: Nanos = _default(HealthCheck, "timeout")
    return usual if interval is None else min(usual, interval)


def _taken(value: Document, names: Mapping[str, str]) -> dict[str, Any]:
    return {field: value[key] for key, field in names.items() if key in value}


def _http(value: Document) -> HttpCheck:
    status = value.get("expectedStatus", [])
    listed = status if isinstance(status, list) else [status]
    return HttpCheck(**_taken(value, _HTTP), expected_status=tuple(map(span_of, listed)))


def span_of(status: int | str) -> tuple[int, int]:
    """Give the first and the last status of a range.

    >>> span_of(204), span_of("200-299")
    ((204, 204), (200, 299))
    """
    first, _, last = str(status).partition("-")
    return int(first), int(last or first)


def _command(value: Document) -> CommandCheck:
    return CommandCheck(**_taken(value, _COMMAND), **_program(value))


def _mcp(value: Document) -> McpCheck:
    return McpCheck(**_taken(value, _MCP), **_program(value))


def _program(value: Document) -> dict[str, Any]:
    cmd = value.get("cmd", ())
    words = split(cmd) if isinstance(cmd, str) else tuple(cmd)
    return {"cmd": words, "args": tuple(value.get("args", ()))}


def _custom(value: Document) -> CustomCheck:
    return CustomCheck(module=value["module"], options=value.get("options", {}))


def _threshold(value: Document) -> Threshold:
    found = _taken(value, _THRESHOLD)
    if "failureRate" in value:
        found["failure_rate"] = float(value["failureRate"])
    if "timeWindow" in value:
        found["time_window"] = durations.read(value["timeWindow"])
    return Threshold(**found)


_TARGETS = {
    "http": _http,
    "tcp": lambda value: TcpCheck(**value),
    "command": _command,
    "custom": _custom,
    "mcp": _mcp,
}


def described(health: HealthCheck) -> Iterator[tuple[str, str]]:
    """Give a check as `path: text`, as a person would write it; no defaults."""
    yield "healthCheck.type", health.type.value
    usual = {"timeout": _usual_timeout(health.interval)}
    for key, field in _SPANS.items():
        if (span := getattr(health, field)) != usual.get(key, _default(HealthCheck, field)):
            yield f"healthCheck.{key}", durations.write(span)
    for key, field in _COUNTS.items():
        if (count := getattr(health, field)) != _default(HealthCheck, field):
            yield f"healthCheck.{key}", str(count)
    for kind in _TARGETS:
        target = getattr(health, kind)
        if target is not None:
            for key, text in _described(target):
                yield f"healthCheck.{kind}.{key}", text
    for key, text in _described(health.threshold):
        yield f"healthCheck.degradationThreshold.{key}", text


def _described(target: Any) -> Iterator[tuple[str, str]]:
    for one in fields(target):
        value = getattr(target, one.name)
        if value != _default(type(target), one.name):
            yield _key(one.name), _text(one.name, value)


def _text(name: str, value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case Mapping():
            return ", ".join(f"{key}: {inner}" for key, inner in value.items())
        case tuple() if name == "expected_status":
            return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in value)
        case tuple():
            return shlex.join(value)
        case _ if name == "time_window":
            return durations.write(value)
        case _:
            return str(value)


def _default(kind: type, name: str) -> Any:
    [found] = [one for one in fields(kind) if one.name == name]
    if found.default_factory is not MISSING:
        return found.default_factory()
    return found.default


def _key(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)
