"""Read the hooks of a service, which may be written in many ways, and say them in a line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.manifest import durations, words
from reconciler.manifest.nodes import Path
from reconciler.model.spec import Hook, Hooks

FIELDS = {
    "preStart": "pre_start",
    "postStart": "post_start",
    "preStop": "pre_stop",
    "postStop": "post_stop",
    "onFailure": "on_failure",
}
"""Keys of a manifest, and the model's fields for them."""


def hooks_of(value: Mapping[str, Any]) -> Hooks:
    """Give the hooks that a valid manifest means."""
    return Hooks(**{FIELDS[key]: commands_of(written) for key, written in value.items()})


def commands_of(value: Any) -> tuple[Hook, ...]:
    """Give the commands of one hook: a list of plain words is one command, any other is several.

    >>> [hook.command for hook in commands_of(["echo", "a b"])]
    [('echo', 'a b')]
    >>> [hook.command for hook in commands_of([{"command": "a b"}, "c"])]
    [('a', 'b'), ('c',)]
    """
    return tuple(hook_of(one) for _, one in single((), value))


def hook_of(value: Any) -> Hook:
    """Give one command of a hook."""
    if not isinstance(value, Mapping):
        return Hook(command=_words(value))
    fields: dict[str, Any] = {key: value[key] for key in ("shell", "user", "env") if key in value}
    if "timeout" in value:
        fields["timeout"] = durations.read(value["timeout"])
    command = (value["command"],) if value.get("shell") else _words(value["command"])
    return Hook(command=command, args=tuple(value.get("args", ())), **fields)


def _words(value: Any) -> tuple[str, ...]:
    return words.split(value) if isinstance(value, str) else tuple(value)


def single(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """Give each command of a hook with its path."""
    if isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        for index, one in enumerate(value):
            yield (*path, index), one
    else:
        yield path, value


def described(hooks: Hooks) -> Iterator[tuple[str, str]]:
    """Give hooks as `path: text`, each as a person would say it in one line."""
    for key, field in FIELDS.items():
        commands: tuple[Hook, ...] = getattr(hooks, field)
        if commands:
            yield f"hooks.{key}", "; ".join(map(in_words, commands))


def in_words(hook: Hook) -> str:
    """Say one command of a hook in a line.

    >>> in_words(Hook(command=("rm -f x",), shell=True, timeout=seconds(5)))
    'rm -f x (shell, timeout 5s)'
    """
    text = hook.command[0] if hook.shell else shlex.join(hook.command)
    if hook.args:
        text += f" {shlex.join(hook.args)}"
    notes = ["shell"] if hook.shell else []
    if hook.timeout != Hook(command=()).timeout:
        notes.append(f"timeout {durations.write(hook.timeout)}")
    notes += [f"user {hook.user}"] if hook.user else []
    notes += [f"{name}={value}" for name, value in hook.env.items()]
    return f"{text} ({', '.join(notes)})" if notes else text
