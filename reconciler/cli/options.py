"""The options and arguments that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

from reconciler.cli.errors import CommandError
from reconciler.cli.root import Command, session

Function = Callable[..., Any]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BREAKS = re.compile(r"[\x00-\x1f\x7f]+")
"""What no line of text has in it."""
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def duration(text: str) -> float | None:
    """Read a duration as manifests write them; None where it is none.

    >>> duration("90s"), duration("1h30m"), duration("500ms"), duration("90"), duration("soon")
    (90.0, 5400.0, 0.5, None, None)
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class Duration(click.ParamType[Any]):
    """A span of time such as `90s` or `5m`."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Give seconds."""
        if isinstance(value, float):
            return value
        found = duration(value)
        if found is None:
            self.fail(f"`{value}` is no duration; write 500ms, 90s, 5m, 1h or 2d", param, ctx)
        return found


class ServiceName(click.ParamType[Any]):
    """The name of a service; a shell completes it by asking the daemon."""

    name = "name"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - as click calls it
        incomplete: str,
    ) -> list[CompletionItem]:
        """Give the names that begin so; none where no daemon answers."""
        try:
            answer = session(ctx).daemon().ask("/v1/status", {"format": "name"})
        except CommandError:
            return []
        names = answer.body.decode().split()
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def command(name: str, **settings: Any) -> Callable[[Function], Command]:
    """Declare a command whose function gets the session first; its docstring is the help."""

    def declare(function: Function) -> Command:
        declared: Command = click.command(name, cls=Command, **settings)(click.pass_obj(function))
        return declared

    return declare


def formats(*allowed: str) -> Callable[[Function], Function]:
    """Take `-o FORMAT` (also before the command's name); the first one is the default."""

    def choose(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
        chosen = value or session(context).format or allowed[0]
        if chosen not in allowed:
            raise click.BadParameter(
                f"`{chosen}` is not one of {', '.join(allowed)}", context, parameter
            )
        return chosen

    return click.option(
        "-o", "--output", metavar="FORMAT", callback=choose, help=f"One of {', '.join(allowed)}."
    )


def service_argument(function: Function) -> Function:
    """Take one service's name."""
    return click.argument("name", type=ServiceName())(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which services a command is for, as the person said it."""

    names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    everything: bool = False


def selectors(function: Function) -> Function:
    """Take `NAME...`, `-l key=value` and `--all`, handed over as one `selection`."""

    @wraps(function)
    def gather(
        *args: Any, names: tuple[str, ...], selector: tuple[str, ...], everything: bool, **rest: Any
    ) -> Any:
        chosen = Selection(names=names, labels=selector, everything=everything)
        if not (names or selector or everything):
            raise click.UsageError("which service? give NAME..., -l key=value or --all")
        if everything and (names or selector):
            raise click.UsageError("--all stands alone: leave out the names and -l")
        return function(*args, selection=chosen, **rest)

    everything_option = click.option("--all", "everything", is_flag=True, help="All services.")
    names_argument = click.argument("names", nargs=-1, type=ServiceName(), metavar="NAME...")
    return names_argument(selector_option(everything_option(gather)))


def selector_option(function: Function) -> Function:
    """Take `-l key=value`, several of which must all hold."""
    return click.option(
        "-l",
        "--selector",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_check_labels,
        help="Services with this label (all of several).",
    )(function)


def _check_labels(_: click.Context, __: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Refuse a label selector without a value."""
    for pair in value:
        if "=" not in pair:
            raise click.BadParameter(f"`{pair}` is no key=value")
    return tuple(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Whether to wait for the result, and how long."""

    wait: bool
    timeout: float


def waiting(default: str = "5m") -> Callable[[Function], Function]:
    """Take `--no-wait` and `--timeout`, handed over as `patience`."""

    def wrap(function: Function) -> Function:
        @wraps(function)
        def gather(*args: Any, no_wait: bool, timeout: float, **rest: Any) -> Any:
            return function(*args, patience=Patience(wait=not no_wait, timeout=timeout), **rest)

        declared = click.option(
            "--timeout",
            type=Duration(),
            default=default,
            show_default=True,
            metavar="TIME",
            help="How long to wait.",
        )(gather)
        return click.option("--no-wait", is_flag=True, help="Return once the commit has landed.")(
            declared
        )

    return wrap


def reason_option(function: Function) -> Function:
    """Take `-m REASON`, which is kept in the commit or the operation."""
    return click.option(
        "-m", "--reason", default="", callback=_in_one_line, help="Why; kept in the commit."
    )(function)


def _in_one_line(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    """Fold a reason into one line, so that no line of it can pass for a trailer of the commit."""
    return " ".join(_BREAKS.sub(" ", reason).split())


USUAL_TTL_S, LONGEST_TTL_S, SHORTEST_TTL_S = 3_600.0, 86_400.0, 1.0


def time_to_live(said: object, *, is_ephemeral: bool, option: str) -> float | None:
    """Give for how many seconds a change is; None: for good."""
    if not is_ephemeral:
        if said is not None:
            raise click.UsageError(f"{option} needs --ephemeral: what is committed stays")
        return None
    ttl = said if isinstance(said, float) else USUAL_TTL_S
    if not SHORTEST_TTL_S <= ttl <= LONGEST_TTL_S:
        raise click.UsageError(f"{option} takes 1s to 24h; what shall stay longer is for a commit")
    return ttl
