"""Check what a schema cannot say: spans of time, commands, placeholders, keys beside each other.

Only values that fit the schema come here; None stands for one that did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from reconciler.manifest import addresses, cron, durations, rlimits, sizes, words
from reconciler.manifest.addresses import AddressError
from reconciler.manifest.codes import Code
from reconciler.manifest.cron import CronError
from reconciler.manifest.durations import DurationError
from reconciler.manifest.faults import Fault, shorten
from reconciler.manifest.health_rules import health_faults, health_warnings, pattern_faults
from reconciler.manifest.hook_rules import hook_faults, spell
from reconciler.manifest.limits import MAX_STRING_BYTES
from reconciler.manifest.nodes import Path
from reconciler.manifest.rlimits import LimitError
from reconciler.manifest.schema import SERVICE, WEAVER, Schema, child, default_of, load
from reconciler.manifest.sizes import SizeError
from reconciler.manifest.socket_rules import socket_faults
from reconciler.manifest.words import WordsError

Document = Mapping[str, Any]
MAX_PORT = 65535


def service_faults(document: Document, schema: Schema) -> Iterator[Fault]:
    """Give what is wrong with a service, apart from its schema."""
    yield from _value_faults((), document, schema, fills=None, shell=bool(document.get("shell")))
    yield from contradictions(document, schema)
    yield from hook_faults(document)
    yield from health_warnings(document)
    yield from _limits(document.get("limits") or {})
    for key in ("logFile", "errorFile"):
        yield from _shared_log(key, document)


def settings_faults(document: Document) -> Iterator[Fault]:
    """Give what is wrong with weaver.yaml, apart from its schema and from `defaults`."""
    listen = (document.get("metrics") or {}).get("listen") or ":1"
    port = int(listen.rpartition(":")[2])
    if not 0 < port <= MAX_PORT:
        message = f"`metrics.listen` has the port {port}"
        mend = f"a port is 1 to {MAX_PORT}"
        yield Fault(("metrics", "listen"), Code.OUT_OF_RANGE, message, mend)
    rotation = (document.get("logs") or {}).get("rotation")
    schema = child(load(SERVICE), "logRotation")
    yield from _value_faults(("logs", "rotation"), rotation, schema, fills=None, shell=False)
    schema = child(load(WEAVER), "hooks")
    yield from _value_faults(("hooks",), document.get("hooks"), schema, fills=None, shell=False)
    yield from hook_faults(document)


def contradictions(document: Document, schema: Schema) -> Iterator[Fault]:
    """Give keys that would do nothing, or not what they say, beside the others."""
    yield from _idle_keys((), document, schema)
    if document.get("shell") and isinstance(document.get("command"), list):
        mend = "write the command as one text, or remove `shell: true`"
        message = "with `shell: true` the command is one text for /bin/sh, not a list"
        yield Fault(("command",), Code.BESIDE, message, mend)
    if document.get("type") == "oneshot" and document.get("restart") == "always":
        message = "a oneshot that ended well is not started again, so `restart: always` cannot be"
        mend = "write `restart: on-failure`; or `type: simple`, if it should run for ever"
        yield Fault(("restart",), Code.BESIDE, message, mend)
    if isinstance(document.get("schedule"), dict):
        yield from _schedule_faults(document, document["schedule"])
    yield from _words_of_its_own(document)
    yield from _watch_contradictions(document)
    yield from health_faults(document)
    yield from socket_faults(document, schema)
    yield from _update_faults(document)
    backoff = document.get("backoff") or {}
    first, longest = _span(backoff, "initial", "1s"), _span(backoff, "max", "60s")
    if first is not None and longest is not None and first > longest:
        message = "`backoff.initial` is longer than `backoff.max`"
        mend = "make `max` at least as long"
        at = "initial" if "initial" in backoff else "max"
        yield Fault(("backoff", at), Code.BESIDE, message, mend)


def _update_faults(document: Document) -> Iterator[Fault]:
    """Give what is wrong with how a new version is to come."""
    update = document.get("update")
    if not isinstance(update, dict):
        return
    at: Path = ("update",)
    if document.get("instances", 1) in (0, 1) and not document.get("sockets"):
        message = "`update` does nothing for one instance without `sockets`"
        mend = "remove it; or set `instances`, or `sockets`"
        # No error: who scales to one instance for a while keeps what is there for more of them.
        yield Fault(at, Code.NO_EFFECT, message, mend, at_key=True, is_warning=True)
    stops_first = update.get("order") == "stop-first"
    surge = 0 if stops_first else update.get("maxSurge", 1)
    if stops_first and "maxSurge" in update:
        message = "`update.maxSurge` does nothing with `order: stop-first`"
        yield Fault((*at, "maxSurge"), Code.NO_EFFECT, message, "remove it", at_key=True)
    if not surge and update.get("maxUnavailable") == 0:
        message = "with `maxUnavailable: 0` and no instance more than its own, nothing may change"
        mend = "write `maxUnavailable: 1`; or `maxSurge: 1` and `order: start-first`"
        yield Fault((*at, "maxUnavailable"), Code.BESIDE, message, mend)


def _schedule_faults(document: Document, schedule: Document) -> Iterator[Fault]:
    """Give what is wrong with when a oneshot is to run."""
    at: Path = ("schedule",)
    if ("cron" in schedule) == ("every" in schedule):
        message = "`schedule` needs one of `cron` and `every`"
        mend = 'write `cron: "0 3 * * *"`, or `every: 10m`'
        yield Fault(at, Code.BESIDE, message, mend)
    if "every" in schedule and "timezone" in schedule:
        message = "`schedule.timezone` does nothing with `every`"
        yield Fault((*at, "timezone"), Code.NO_EFFECT, message, "remove it", at_key=True)
    for key, check in (("cron", cron.check), ("timezone", cron.zone_of)):
        value = schedule.get(key)
        if isinstance(value, str):
            yield from _checked((*at, key), Code.SCHEDULE, partial(check, value))
    needs = document.get("dependsOn")
    for name, how in needs.items() if isinstance(needs, dict) else ():
        if isinstance(how, dict) and how.get("onRestart") == "restart":
            path = ("dependsOn", name, "onRestart")
            message = f"`{'.'.join(path)}: restart` does nothing with a `schedule`"
            mend = "remove it: the next run begins at its time"
            yield Fault(path, Code.NO_EFFECT, message, mend, at_key=True)


def _words_of_its_own(document: Document) -> Iterator[Fault]:
    """Give what keeps a service from being heard by sd_notify."""
    kind, ready = document.get("type", "simple"), document.get("ready") or {}
    if ready.get("type") == "notify" and kind == "simple":
        message = "`ready.type: notify` needs a service that says so itself"
        mend = "add `type: notify`, and remove `ready`, which then says the same"
        yield Fault(("ready", "type"), Code.BESIDE, message, mend)
    if isinstance(pattern := ready.get("pattern"), str):
        yield from pattern_faults(("ready", "pattern"), pattern)
    is_heard = kind == "notify" or document.get("watchdogTimeout") is not None
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        if is_heard and name in (document.get("env") or {}):
            message = f"`env.{name}` hides from the service where it is heard"
            yield Fault(("env", name), Code.BESIDE, message, "remove it", at_key=True)


def _watch_contradictions(document: Document) -> Iterator[Fault]:
    watch = document.get("watch") or {}
    if watch.get("action") == "reload" and "reload" not in document:
        message = "`watch.action: reload` says nothing of how to reload"
        mend = "add `reload: {signal: SIGHUP}`, or write `action: restart`"
        yield Fault(("watch", "action"), Code.BESIDE, message, mend)
    if watch and "schedule" in document:
        message = "`watch` does nothing beside `schedule`: each run has the code of its time"
        yield Fault(("watch",), Code.NO_EFFECT, message, "remove it", at_key=True)


def _span(mapping: Document, key: str, default: str) -> int | None:
    value = mapping.get(key)
    try:
        return durations.read(default if value is None else value)
    except DurationError:
        return None


# --- keys beside each other ------------------------------------------------------------------


def _idle_keys(path: Path, found: Document, schema: Schema) -> Iterator[Fault]:
    for key, inner in schema.get("properties", {}).items():
        if key in found:
            yield from _only_with(path, key, found, schema, inner)
            yield from _only_beside(path, key, found, inner)
            if isinstance(found[key], dict):
                yield from _idle_keys((*path, key), found[key], inner)
        for sibling, values in inner.get("x-needed-by", {}).items():
            if key not in found and found.get(sibling) in values:
                name = ".".join(map(str, (*path, key)))
                message = f"`{_spelt(path, sibling, found[sibling])}` needs `{name}`"
                parts = inner.get("required")
                mend = f"add `{key}:`" + (f" with {' and '.join(parts)}" if parts else "")
                yield Fault((*path, sibling), Code.MISSING_KEY, message, mend)


def _only_with(
    path: Path, key: str, found: Document, schema: Schema, inner: Schema
) -> Iterator[Fault]:
    for sibling, values in inner.get("x-only-with", {}).items():
        value = found.get(sibling, default_of(schema, sibling))
        if value is None or value in values:
            continue
        name = ".".join(map(str, (*path, key)))
        message = f"`{name}` does nothing with `{_spelt(path, sibling, value)}`"
        wanted = " or ".join(f"`{_spelt((), sibling, value)}`" for value in values)
        mend = f"remove it, or write {wanted}"
        if sibling == "shell":
            mend = "put the words into the command, or remove `shell: true`"
        yield Fault((*path, key), Code.NO_EFFECT, message, mend, at_key=True)


def _only_beside(path: Path, key: str, found: Document, inner: Schema) -> Iterator[Fault]:
    other = inner.get("x-only-beside")
    is_plain = found[key] in (None, inner.get("default"))
    if other is not None and not is_plain and other not in found:
        message = f"`{key}` does nothing without `{other}`"
        mend = f"add `{other}:`, or remove it"
        yield Fault((*path, key), Code.NO_EFFECT, message, mend, at_key=True)


def _spelt(path: Path, key: str, value: Any) -> str:
    name = ".".join(map(str, (*path, key)))
    return f"{name}: {str(value).lower() if isinstance(value, bool) else value}"


# --- values ----------------------------------------------------------------------------------


def _value_faults(
    path: Path, found: Any, schema: Schema, *, fills: bool | None, shell: bool
) -> Iterator[Fault]:
    """Walk a value and its schema; `fills`: whether placeholders are filled in here."""
    fills = schema.get("x-placeholders", fills)
    kind = schema.get("x-kind") if found is not None else None
    if kind == "duration":
        yield from _checked(path, Code.DURATION, lambda: _read_duration(found, schema))
    elif kind == "address":
        yield from _checked(path, Code.ADDRESS, lambda: addresses.read(found))
    elif kind == "size":
        yield from _checked(path, Code.SIZE, lambda: _read_size(found, schema))
    elif kind == "words" and isinstance(found, str) and not (shell and path == ("command",)):
        own = path == ("command",)
        yield from _checked(path, Code.WORDS, lambda: words.split(found, may_have_shell=own))
    match found:
        case dict():
            for key, value in found.items():
                inner = child(schema, key)
                yield from _value_faults((*path, key), value, inner, fills=fills, shell=shell)
        case list():
            for index, item in enumerate(found):
                inner = schema.get("items", {})
                yield from _value_faults((*path, index), item, inner, fills=fills, shell=shell)
        case str() if fills is not None:
            yield from _text_faults(path, found, fills=fills, shell=shell)


def _text_faults(path: Path, text: str, *, fills: bool, shell: bool) -> Iterator[Fault]:
    size = len(text.encode()) + (len(str(path[-1])) + 1 if path[0] == "env" else 0)
    if size > MAX_STRING_BYTES:
        message = f"this text has {size:,} bytes; Linux passes at most {MAX_STRING_BYTES:,}"
        yield Fault(path, Code.OUT_OF_RANGE, message, "put it into a file and pass its path")
    if not fills and "${" in text:
        message = f"nothing is filled in for `{shorten(text)}` here"
        yield Fault(path, Code.PLACEHOLDER, message, "write it out")
    if fills:
        for unknown in words.unknown_placeholders(text):
            yield _unknown_placeholder(path, unknown, shell=shell)


def _unknown_placeholder(path: Path, unknown: str, *, shell: bool) -> Fault:
    *most, last = (f"`${{{name}}}`" for name in words.PLACEHOLDERS)
    known = f"{', '.join(most)} and {last}"
    name = unknown.removeprefix("${").removesuffix("}")
    if not unknown.endswith("}"):
        message, mend = "`${` is not closed", "add `}`; a dollar as such is `$$`"
    elif shell and path == ("command",):
        message = f"`{shorten(unknown)}` is not known"
        mend = f"for the shell's variable write `${shorten(name)}` or `$${shorten(unknown[1:])}`"
    else:
        message = f"`{shorten(unknown)}` is not known"
        mend = f"only {known} are filled in; environment variables need `shell: true` and `$NAME`"
    return Fault(path, Code.PLACEHOLDER, message, mend)


def _read_duration(found: str | int, schema: Schema) -> None:
    if schema.get("x-months") and durations.is_months(found):
        return
    span = durations.read(found)
    smallest = schema.get("x-minimum")
    if smallest and span < durations.read(smallest):
        raise DurationError(f"`{found}` is too short", f"use {smallest} at least")


def _read_size(found: str | int, schema: Schema) -> None:
    if found in schema.get("x-words", ()):
        return
    size = sizes.read(found)
    smallest = schema.get("x-minimum")
    if smallest and size < sizes.read(smallest):
        raise SizeError(f"`{found}` is too small", f"use {smallest} at least")


def _checked(path: Path, code: Code, check: Callable[[], object]) -> Iterator[Fault]:
    try:
        check()
    except (AddressError, CronError, DurationError, LimitError, SizeError, WordsError) as why:
        yield Fault(path, code, f"`{spell(path)}`: {why}", why.mend)


def _limits(limits: Document) -> Iterator[Fault]:
    for name, value in limits.items():
        both = value.items() if isinstance(value, dict) else [("", value)]
        faults = [
            fault
            for key, one in both
            if one is not None
            for fault in _checked(
                ("limits", name, key) if key else ("limits", name),
                Code.LIMIT,
                partial(rlimits.read, name, one),
            )
        ]
        yield from faults
        if not faults and None not in dict(both).values():
            yield from _checked(("limits", name), Code.LIMIT, partial(rlimits.check, name, value))


def _shared_log(key: str, document: Document) -> Iterator[Fault]:
    log = document.get(key) or "${instance}"
    if log.removeprefix("./").startswith("services.d/"):
        message = f"`{key}` is in the folder of manifests: each line counts as a change of them"
        mend = "put logs elsewhere: `logs/...`"
        yield Fault((key,), Code.LOG_AMONG_MANIFESTS, message, mend, is_warning=True)
    count = document.get("instances") or 1
    if count > 1 and not words.has_placeholder(log, "instance"):
        message = f"{count} instances append to one `{key}`"
        mend = "put `${instance}` into its name"
        yield Fault((key,), Code.SHARED_LOG, message, mend, is_warning=True)
