"""Flatten specs to the fields that people write, and say what a change of each field does."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from reconciler.manifest import durations, health, rlimits, sizes
from reconciler.manifest.hooks import described, in_words
from reconciler.manifest.schema import SERVICE, Schema, child, load
from reconciler.model.change import Effect
from reconciler.model.health import HealthCheck
from reconciler.model.listening import AUTO_PORT, ListenSocket
from reconciler.model.log import LogRotation
from reconciler.model.spec import (
    Backoff,
    CommandTarget,
    Hooks,
    Need,
    Readiness,
    ReadyType,
    ReloadWay,
    Schedule,
    ServiceSpec,
    Watch,
)
from reconciler.model.units import Nanos
from reconciler.model.update import Update

_RENAMED = {"needs": "dependsOn", "health": "healthCheck"}
_NOT_WRITTEN = frozenset({"digest", "loads"})
_WORDS = frozenset({"command", "args", "interpreter"})
_SPANS = frozenset({"start_timeout", "stop_timeout", "watchdog_timeout"})


def describe(spec: ServiceSpec) -> dict[str, str]:
    """Give a spec's fields as `path: text`, as a person would write them; no defaults.

    Paths are dotted, as `weaver set` takes them: `env.PORT`, `labels."app.name"`.
    """
    plain = ServiceSpec(name=spec.name, digest=spec.digest)
    found: dict[str, str] = {}
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name not in _NOT_WRITTEN and value != getattr(plain, field.name):
            found |= _described(spec, field.name, value)
    return found


def effect_of(path: str) -> Effect:
    """Say what a change of a field does, by its path or that of anything inside of it.

    >>> effect_of("env.PORT"), effect_of("labels"), effect_of("instances")
    (<Effect.RESTART: 'restart'>, <Effect.METADATA: 'metadata'>, <Effect.STRUCTURAL: 'structural'>)
    """
    schema: Schema = load(SERVICE)
    effect: str | None = None
    for step in path.split("."):
        schema = child(schema, step)
        if not schema:
            break
        effect = schema.get("x-effect", effect)
    if effect is None:
        raise KeyError(f"no field of a service: {path}")
    return Effect(effect)


def manifest_key(field: str) -> str:
    """Give the manifest's key of a spec's field; empty where it has none.

    >>> manifest_key("stop_timeout"), manifest_key("needs"), manifest_key("digest")
    ('stopTimeout', 'dependsOn', '')
    """
    if field in _NOT_WRITTEN:
        return ""
    first, *rest = _RENAMED.get(field, field).split("_")
    return first + "".join(part.capitalize() for part in rest)


def _described(spec: ServiceSpec, field: str, value: Any) -> dict[str, str]:
    key = manifest_key(field)
    if type(value) in _PARTS:
        return dict(_PARTS[type(value)](value))
    match value:
        case None:
            return {key: "unlimited" if field == "max_restarts" else ""}
        case Mapping() if field == "limits":
            return {k: v for name in value for k, v in rlimits.described(name, value[name]).items()}
        case Mapping():
            return {f"{key}.{_key(name)}": str(text) for name, text in value.items()}
        case tuple() if field == "needs":
            return dict(_needs(value))
        case tuple() if field == "sockets":
            return {key: ", ".join(map(_socket, value))}
        case tuple():
            return {key: _listed(spec, field, value)}
        case _:
            return {key: _single(field, value)}


def _key(name: str) -> str:
    """Quote a key with a dot in it, as `weaver set` wants it."""
    return f'"{name}"' if "." in name else name


def _listed(spec: ServiceSpec, field: str, value: tuple[Any, ...]) -> str:
    if field == "command" and spec.shell:
        return str(value[0])
    return shlex.join(value) if field in _WORDS else ", ".join(map(str, value))


def _single(field: str, value: Any) -> str:
    if field in _SPANS:
        return durations.write(Nanos(value))
    if field == "umask":
        return f"{value:03o}"
    if field == "port" and value == AUTO_PORT:
        return "auto"
    if field == "max_memory":
        return sizes.write(value)
    if field == "max_cpu":
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _socket(value: ListenSocket) -> str:
    """Write a socket in a line: its address, then what else is said of it."""
    plain = ListenSocket(listen=value.listen)
    said = [value.name, value.listen] if value.name else [value.listen]
    if value.backlog != plain.backlog:
        said.append(f"backlog {value.backlog}")
    if value.mode != plain.mode:
        said.append(f"mode {value.mode:03o}")
    if value.owner:
        said.append(f"owner {value.owner}")
    return " ".join(said)


def _backoff(value: Backoff) -> Iterator[tuple[str, str]]:
    plain = Backoff()
    for field in fields(value):
        own = getattr(value, field.name)
        if own != getattr(plain, field.name):
            text = f"{own:g}" if field.name == "factor" else durations.write(own)
            yield f"backoff.{manifest_key(field.name)}", text


def _rotation(value: LogRotation) -> Iterator[tuple[str, str]]:
    plain = LogRotation()
    if value.max_size != plain.max_size:
        size = "unlimited" if value.max_size is None else sizes.write(value.max_size)
        yield "logRotation.maxSize", size
    if value.max_files != plain.max_files:
        yield "logRotation.maxFiles", str(value.max_files)
    if value.compress != plain.compress:
        yield "logRotation.compress", "gzip" if value.compress else "none"
    if value.interval is not None:
        yield "logRotation.interval", durations.write(value.interval)


def _needs(needs: tuple[Need, ...]) -> Iterator[tuple[str, str]]:
    for need in needs:
        path = f"dependsOn.{_key(need.service)}"
        yield f"{path}.condition", need.condition.value
        if need.on_restart is not Need(service=need.service).on_restart:
            yield f"{path}.onRestart", need.on_restart.value
        if not need.required:
            yield f"{path}.required", "false"


def _readiness(value: Readiness) -> Iterator[tuple[str, str]]:
    yield "ready.type", value.type.value
    if value.type is ReadyType.DELAY or value.delay:
        yield "ready.delay", durations.write(value.delay)
    if value.interval != Readiness().interval:
        yield "ready.interval", durations.write(value.interval)
    if value.pattern:
        yield "ready.pattern", value.pattern
    if value.path:
        yield "ready.path", value.path
    if value.tcp is not None:
        yield "ready.tcp.host", value.tcp.host
        yield "ready.tcp.port", str(value.tcp.port)
    if value.http is not None:
        yield "ready.http.url", value.http.url
        if value.http.expected_status:
            status = ", ".join(map(str, value.http.expected_status))
            yield "ready.http.expectedStatus", status
    if value.command is not None:
        yield from _command(value.command)


def _schedule(value: Schedule) -> Iterator[tuple[str, str]]:
    plain = Schedule()
    for field in fields(value):
        own = getattr(value, field.name)
        if own != getattr(plain, field.name):
            text = durations.write(own) if field.name == "every" else str(own)
            yield f"schedule.{manifest_key(field.name)}", text


def _command(target: CommandTarget) -> Iterator[tuple[str, str]]:
    yield "ready.command.cmd", shlex.join(target.cmd)
    if target.args:
        yield "ready.command.args", shlex.join(target.args)


def _reload(value: ReloadWay) -> Iterator[tuple[str, str]]:
    if value.command is not None:
        yield "reload.command", in_words(value.command)
    else:
        yield "reload.signal", value.signal


def _update(value: Update) -> Iterator[tuple[str, str]]:
    plain = Update()
    for field in fields(value):
        own = getattr(value, field.name)
        if own != getattr(plain, field.name):
            text = durations.write(own) if field.name == "min_ready" else str(own)
            yield f"update.{manifest_key(field.name)}", text


def _watch(value: Watch) -> Iterator[tuple[str, str]]:
    yield "watch.paths", ", ".join(value.paths)
    if value.ignore:
        yield "watch.ignore", ", ".join(value.ignore)
    if value.delay != Watch(paths=()).delay:
        yield "watch.delay", durations.write(value.delay)
    if value.action is not Watch(paths=()).action:
        yield "watch.action", value.action.value


_PARTS: Mapping[type, Callable[[Any], Iterator[tuple[str, str]]]] = {
    Backoff: _backoff,
    HealthCheck: health.described,
    Hooks: described,
    LogRotation: _rotation,
    Readiness: _readiness,
    ReloadWay: _reload,
    Schedule: _schedule,
    Update: _update,
    Watch: _watch,
}
"""Values that are described part by part."""
