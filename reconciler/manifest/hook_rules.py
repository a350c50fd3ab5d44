"""Say what is wrong with the hooks of a service, where a schema cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.manifest import durations, words
from reconciler.manifest.codes import Code
from reconciler.manifest.durations import DurationError
from reconciler.manifest.faults import Fault
from reconciler.manifest.hooks import single
from reconciler.manifest.nodes import Path
from reconciler.manifest.words import WordsError
from reconciler.model.units import seconds

SHORTEST = seconds(0.1)


def hook_faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    """Give what is wrong with the hooks of a service, apart from the schema."""
    found = document.get("hooks")
    for key, value in found.items() if isinstance(found, dict) else ():
        for path, one in single(("hooks", key), value):
            yield from _command_faults(path, one)
    if isinstance(way := document.get("reload"), dict):
        yield from _reload_faults(way)


def _reload_faults(way: Mapping[str, Any]) -> Iterator[Fault]:
    if ("signal" in way) == ("command" in way):
        message = "`reload` needs one of `signal` and `command`"
        mend = "write `signal: SIGHUP`, or `command: ./bin/reread`"
        yield Fault(("reload",), Code.BESIDE, message, mend)
    elif "command" in way:
        yield from _command_faults(("reload",), way)


def _command_faults(path: Path, one: Any) -> Iterator[Fault]:
    is_object = isinstance(one, dict)
    command = one.get("command") if is_object else one
    at: Path = (*path, "command") if is_object else path
    name = spell(at)
    if is_object and one.get("shell"):
        if isinstance(command, list):
            message = "with `shell: true` the command is one text for /bin/sh, not a list"
            mend = "write the command as one text, or remove `shell: true`"
            yield Fault(at, Code.BESIDE, message, mend)
    elif isinstance(command, str):
        try:
            words.split(command, may_have_shell=is_object)
        except WordsError as why:
            yield Fault(at, Code.WORDS, f"`{name}`: {why}", why.mend)
    elif isinstance(command, list) and not command:
        yield Fault(at, Code.OUT_OF_RANGE, f"`{name}` is empty", "give it a value, or remove it")
    if is_object and one.get("timeout") is not None:
        yield from _timeout_faults((*path, "timeout"), one["timeout"])


def _timeout_faults(path: Path, written: Any) -> Iterator[Fault]:
    try:
        span = durations.read(written)
    except DurationError:
        # Told where all spans of time are read, or here: items of a list are not walked there.
        return
    if span < SHORTEST:
        message = f"`{spell(path)}`: `{written}` is too short"
        yield Fault(path, Code.DURATION, message, "use 100ms at least")


def spell(path: Path) -> str:
    """Give a path as people write it.

    >>> spell(("hooks", "preStart", 0, "command"))
    'hooks.preStart[0].command'
    """
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
