"""Make a spec of a document that was found to be valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from reconciler.manifest import addresses, durations, rlimits, sizes
from reconciler.manifest.health import health_of
from reconciler.manifest.hooks import hook_of, hooks_of
from reconciler.manifest.words import split
from reconciler.model.health import OnUnhealthy
from reconciler.model.listening import AUTO_PORT, ExecMode, ListenSocket
from reconciler.model.log import LogRotation
from reconciler.model.spec import (
    Backoff,
    CatchUp,
    CommandTarget,
    Condition,
    DesiredState,
    HttpTarget,
    MemoryAction,
    Need,
    OnRestart,
    Overlap,
    Readiness,
    ReadyType,
    ReloadWay,
    RestartPolicy,
    Schedule,
    ServiceSpec,
    ServiceType,
    TcpTarget,
    Watch,
    WatchAction,
)
from reconciler.model.units import Digest, Nanos, ServiceName
from reconciler.model.update import OnFailure, Update, UpdateOrder

Document = Mapping[str, Any]

NO_DIGEST = Digest("")
"""Until the env files are known; see digest.py."""

_TEXTS = {
    "displayName": "display_name",
    "description": "description",
    "version": "version",
    "labels": "labels",
    "annotations": "annotations",
    "shell": "shell",
    "cwd": "cwd",
    "user": "user",
    "group": "group",
    "nice": "nice",
    "noNewPrivileges": "no_new_privileges",
    "env": "env",
    "logFile": "log_file",
    "errorFile": "error_file",
    "logLevel": "log_level",
    "instances": "instances",
    "protect": "protect",
    "pidsMax": "pids_max",
    "stopSignal": "stop_signal",
}
"""Keys whose value is taken as it is."""
_SPANS = {
    "startTimeout": "start_timeout",
    "stopTimeout": "stop_timeout",
    "watchdogTimeout": "watchdog_timeout",
}
_CHOICES: Mapping[str, tuple[str, type[StrEnum]]] = {
    "state": ("state", DesiredState),
    "type": ("type", ServiceType),
    "restart": ("restart", RestartPolicy),
    "memoryAction": ("memory_action", MemoryAction),
    "onUnhealthy": ("on_unhealthy", OnUnhealthy),
    "execMode": ("exec_mode", ExecMode),
}


def _in_order(codes: list[int | str]) -> tuple[int | str, ...]:
    """Give exit codes, then signals."""
    return tuple(sorted(codes, key=lambda code: (isinstance(code, str), code)))


def build(document: Document) -> ServiceSpec:
    """Give the spec that a document means; keys that are not there have the model's defaults."""
    fields: dict[str, Any] = {
        field: document[key] for key, field in _TEXTS.items() if key in document
    }
    fields |= {f: durations.read(document[key]) for key, f in _SPANS.items() if key in document}
    fields |= {f: kind(document[key]) for key, (f, kind) in _CHOICES.items() if key in document}
    fields |= {f: make(document[key]) for key, (f, make) in _MADE.items() if key in document}
    return ServiceSpec(
        name=ServiceName(document["name"]),
        digest=NO_DIGEST,
        command=_command(document),
        args=tuple(document.get("args", ())),
        interpreter=_words(document.get("interpreter", ())),
        env_file=_listed(document.get("envFile", ())),
        stdin=document.get("stdin") or "",
        supplementary_groups=tuple(document.get("supplementaryGroups", ())),
        needs=_needs(document.get("dependsOn", ())),
        **fields,
    )


def _cores(value: float | str) -> float:
    """Give the cores of `0.5` or `50%`."""
    return float(value.rstrip("%")) / 100 if isinstance(value, str) else float(value)


def _command(document: Document) -> tuple[str, ...]:
    command = document["command"]
    return (command,) if document.get("shell") else _words(command)


def _words(value: str | list[str]) -> tuple[str, ...]:
    return split(value) if isinstance(value, str) else tuple(value)


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _needs(value: list[str] | Mapping[str, Document]) -> tuple[Need, ...]:
    terms = value if isinstance(value, Mapping) else {name: {} for name in value}
    return tuple(
        Need(
            service=ServiceName(name),
            condition=Condition(how.get("condition", Condition.READY)),
            on_restart=OnRestart(how.get("onRestart", OnRestart.NONE)),
            required=how.get("required", True),
        )
        for name, how in sorted(terms.items())
    )


def _backoff(value: Document) -> Backoff:
    spans = {"initial": "initial", "max": "max", "jitter": "jitter", "resetAfter": "reset_after"}
    fields: dict[str, Any] = {f: durations.read(value[k]) for k, f in spans.items() if k in value}
    if "factor" in value:
        fields["factor"] = float(value["factor"])
    return Backoff(**fields)


def _update(value: Document) -> Update:
    counts = {"maxUnavailable": "max_unavailable", "maxSurge": "max_surge"}
    fields: dict[str, Any] = {field: value[key] for key, field in counts.items() if key in value}
    if "order" in value:
        fields["order"] = UpdateOrder(value["order"])
    if "minReady" in value:
        fields["min_ready"] = durations.read(value["minReady"])
    if "onFailure" in value:
        fields["on_failure"] = OnFailure(value["onFailure"])
    if "revert" in value:
        fields["revert"] = value["revert"]
    return Update(**fields)


def rotation(value: Document) -> LogRotation:
    """Give when a log is rotated, as a mapping that was found to be valid says it."""
    fields: dict[str, Any] = {}
    if "maxSize" in value:
        limit = value["maxSize"]
        fields["max_size"] = None if limit == "unlimited" else sizes.read(limit)
    if "maxFiles" in value:
        fields["max_files"] = value["maxFiles"]
    if "compress" in value:
        fields["compress"] = value["compress"] in (True, "gzip")
    if "interval" in value:
        fields["interval"] = durations.read_interval(value["interval"])
    return LogRotation(**fields)


def _schedule(value: Document) -> Schedule:
    every = value.get("every")
    return Schedule(
        cron=" ".join(value.get("cron", "").split()),
        every=None if every is None else durations.read(every),
        timezone=value.get("timezone", ""),
        overlap=Overlap(value.get("overlap", Overlap.SKIP)),
        catch_up=CatchUp(value.get("catchUp", CatchUp.NONE)),
    )


def _readiness(value: Document) -> Readiness:
    kind = ReadyType(value["type"])
    fields: dict[str, Any] = {}
    if kind is not ReadyType.DELAY:
        # The first try is made at once; only a service without a probe has to wait and see.
        fields["delay"] = Nanos(0)
    fields |= {key: durations.read(value[key]) for key in ("delay", "interval") if key in value}
    fields |= {key: value[key] for key in ("pattern", "path") if key in value}
    if "tcp" in value:
        fields["tcp"] = TcpTarget(**value["tcp"])
    if "http" in value:
        status = _listed(value["http"].get("expectedStatus", ()))
        fields["http"] = HttpTarget(url=value["http"]["url"], expected_status=status)
    if "command" in value:
        words = _words(value["command"]["cmd"])
        fields["command"] = CommandTarget(cmd=words, args=tuple(value["command"].get("args", ())))
    return Readiness(type=kind, **fields)


def _reload(value: Document) -> ReloadWay:
    if "signal" in value:
        return ReloadWay(signal=value["signal"])
    return ReloadWay(command=hook_of(value))


def _watch(value: Document) -> Watch:
    fields: dict[str, Any] = {"paths": tuple(sorted(_listed(value["paths"])))}
    if "ignore" in value:
        # The order counts: the last pattern that fits decides.
        fields["ignore"] = _listed(value["ignore"])
    if "delay" in value:
        fields["delay"] = durations.read(value["delay"])
    if "action" in value:
        fields["action"] = WatchAction(value["action"])
    return Watch(**fields)


def _sockets(value: list[Document]) -> tuple[ListenSocket, ...]:
    return tuple(_socket(one) for one in value)


def _socket(value: Document) -> ListenSocket:
    fields: dict[str, Any] = {k: value[k] for k in ("name", "backlog", "owner") if k in value}
    if "mode" in value:
        fields["mode"] = int(value["mode"], 8)
    return ListenSocket(listen=str(addresses.read(value["listen"])), **fields)


def _limits(value: Document) -> dict[str, Any]:
    return {name: rlimits.limit(name, value[name]) for name in sorted(value)}


_MADE: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "backoff": ("backoff", _backoff),
    "maxRestarts": ("max_restarts", lambda most: None if most == "unlimited" else most),
    "umask": ("umask", lambda mask: int(mask, 8)),
    "limits": ("limits", _limits),
    "successExitCodes": ("success_exit_codes", _in_order),
    "maxMemory": ("max_memory", sizes.read),
    "maxCpu": ("max_cpu", _cores),
    "logRotation": ("log_rotation", rotation),
    "schedule": ("schedule", _schedule),
    "sockets": ("sockets", _sockets),
    "port": ("port", lambda port: AUTO_PORT if port == "auto" else port),
    "ready": ("ready", _readiness),
    "healthCheck": ("health", health_of),
    "hooks": ("hooks", hooks_of),
    "reload": ("reload", _reload),
    "update": ("update", _update),
    "watch": ("watch", _watch),
    "reloadOn": ("reload_on", lambda paths: tuple(sorted(_listed(paths)))),
}
"""Keys whose value is made into something else, each by itself."""
