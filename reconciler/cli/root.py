"""The command `weaver`: a group that loads a command's module only when that command is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from reconciler import __version__
from reconciler.cli import index
from reconciler.cli.session import Session

HELP_WIDTH = 80
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH}


def session(context: click.Context) -> Session:
    """Give the session of an invocation."""
    return context.ensure_object(Session)


def _note(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Give a callback that writes an option's value into the session, where it was given."""

    def write(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(session(context), field, value)

    return write


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """Give the options that every command takes, before its name or after it."""
    declared: list[tuple[list[str], str, bool, str]] = [
        (["-C", "--directory"], "directory", False, "Work on the repository at DIR."),
        (["--state-dir"], "state_dir", False, "Where .weaver/ is, if not in the repository."),
        (["--no-color"], "plain", True, "No colour (NO_COLOR does the same)."),
        (["-q", "--quiet"], "quiet", True, "Only results and errors."),
        (["-v", "--verbose"], "verbose", True, "Say more."),
    ]
    return [
        click.Option(
            [*names, f"global_{field}"],
            is_flag=is_flag,
            metavar=None if is_flag else "DIR",
            help=text,
            hidden=hidden,
            expose_value=False,
            callback=_note(field),
        )
        for names, field, is_flag, text in declared
    ]


class Command(click.Command):
    """A command that takes the global options too, and whose help says so in one line."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings.setdefault("context_settings", CONTEXT)
        super().__init__(*args, **settings)
        self.params += global_options(hidden=True)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an `-o` that stood before the name of a command that has no formats."""
        rest = super().parse_args(ctx, args)
        chosen = session(ctx).format
        takes_format = any(option.name == "output" for option in self.params)
        if chosen and not takes_format and not ctx.resilient_parsing:
            raise click.UsageError(f"no such option: -o (for {ctx.info_name})", ctx)
        return rest

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Point to the options that are not listed here."""
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("Also -C DIR, --no-color, -q and -v: see weaver --help.")


class Root(click.Group):
    """The lazy group; its help is written from the static index."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Give every command's name, in the order of the help."""
        return list(index.MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - same
        """Load the module of a command and give the command."""
        module = index.MODULES.get(cmd_name) or index.HIDDEN.get(cmd_name)
        if module is None:
            return None
        loaded = import_module(f"reconciler.cli.commands.{module}")
        command: click.Command = getattr(loaded, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one gets a did-you-mean from the index."""
        known = {*index.MODULES, *index.HIDDEN}
        if args[0] not in known and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=index.MODULES, ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names without loading a command."""
        found = [
            CompletionItem(name, help=text)
            for name, text in index.TEXTS.items()
            if name.startswith(incomplete)
        ]
        return found or click.Command.shell_complete(self, ctx, incomplete)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - same
        """Write the groups of commands, then the options, in 40 lines."""
        formatter.write("Usage: weaver [OPTIONS] COMMAND [ARGS]...\n\n")
        formatter.write("GitOps for plain processes: a git repository says what should run.\n")
        for title, rows in index.GROUPS.items():
            formatter.write(f"\n{title}\n")
            formatter.write_dl(_rows(rows), col_max=24)
        formatter.write("\n")
        formatter.write_dl(
            [
                ("-C DIR", "the repository; default: the one around the working directory"),
                ("-o FORMAT", "table, json, ... · --no-color · -q quiet · -v verbose · --version"),
            ],
            col_max=24,
        )


def _rows(rows: Iterable[index.Row]) -> list[tuple[str, str]]:
    """Give (commands, text) of some rows, names padded so that all groups line up."""
    return [(f"  {', '.join(row.names):<20}", row.text) for row in rows]


def close_names(name: str, names: Iterable[str]) -> list[str]:
    """Give what somebody may have meant."""
    return get_close_matches(name, list(names), n=3)


def root_command() -> Root:
    """Build the command `weaver`."""
    root = Root(name="weaver", context_settings=CONTEXT, params=[], no_args_is_help=True)
    root.params += [
        *global_options(hidden=False),
        click.Option(
            ["-o", "--output"],
            metavar="FORMAT",
            expose_value=False,
            callback=_note("format"),
            help="The format of the result; each command's help lists its own.",
        ),
    ]
    return click.version_option(__version__, prog_name="weaver", message="%(prog)s %(version)s")(
        root
    )
