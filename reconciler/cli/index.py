"""Every command, where it lives and what it does, so that help and completion load nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the help: one command, or a few that belong together."""

    names: tuple[str, ...]
    modules: tuple[str, ...]
    """Of each, below `reconciler.cli.commands`; the command is the attribute of its name."""
    text: str


def _row(names: str, modules: str, text: str) -> Row:
    """Give a row from names divided by blanks, and their modules: one of each, or one for all."""
    called, lying = tuple(names.split()), tuple(modules.split())
    return Row(names=called, modules=lying if len(lying) > 1 else lying * len(called), text=text)


GROUPS: dict[str, tuple[Row, ...]] = {
    "Start": (
        _row("init new", "init new", "make a repository ready; write a manifest to edit"),
        _row("register unregister", "register", "add a service and run it, or remove one"),
        _row("up down", "updown", "run the daemon and the services, or stop them"),
    ),
    "Every day": (
        _row("status", "status", "show what runs and why not"),
        _row("logs", "logs", "show what services print"),
        _row("start stop restart reload", "lifecycle", "start, stop, restart or reload services"),
        _row("set scale edit undo", "change", "change a manifest, or take it back"),
        _row("run", "run", "run a command in a service's environment"),
        _row("why history events", "past", "say why it is so, and what happened"),
    ),
    "Git": (
        _row("validate", "validate", "check manifests, without a daemon"),
        _row("diff", "diff", "show what would change, and what would be done"),
        _row("apply revert sync", "apply apply sync", "write manifests, run them; fetch now"),
    ),
    "Operate": (
        _row("health metrics", "health metrics", "show what checks say; what services use"),
        _row("graph", "graph", "show who needs whom"),
        _row("wait", "wait", "wait until services are ready, stopped, ..."),
        _row("config", "config", "show, check or change weaver.yaml"),
        _row("startup", "startup", "have systemd start it with the host"),
        _row("doctor report", "doctor", "find what is wrong, and bundle it for a bug report"),
    ),
    "Advanced": (
        _row("service rollout", "service rollout", "the verbs spelled out; steer a rollout"),
        _row("prune accept-history", "prune sync", "decide about a removal or history held"),
        _row("reexec", "reexec", "put an upgrade into force, touching no service"),
        _row("completion", "completion", "print the completion script of a shell"),
        _row("explain help", "explain help", "say what a field means; help, `help exit-codes`"),
    ),
}

MODULES = {
    name: module
    for rows in GROUPS.values()
    for row in rows
    for name, module in zip(row.names, row.modules, strict=True)
}
HIDDEN = {"receive": "receive"}
"""Commands that programs call, and where they live; no help lists them."""
TEXTS = {name: row.text for rows in GROUPS.values() for row in rows for name in row.names}
