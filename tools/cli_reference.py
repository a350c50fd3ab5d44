"""Write docs/cli.md from the commands themselves, so that no page can say what is not so.

python tools/cli_reference.py            rewrite docs/cli.md
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from reconciler.cli import exits, index
from reconciler.cli.root import CONTEXT, HELP_WIDTH, root_command

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"

HEAD = """\
# Commands

<!-- Written by tools/cli_reference.py from the commands' own help; do not edit. -->

`weaver COMMAND --help` shows the same in a terminal. Every command also takes these, before its
name or after it: `-C`, `--directory DIR` (the repository; default: the one around the working
directory), `--state-dir DIR` (in place of its `.weaver/`), `--no-color`, `-q`, `--quiet` and `-v`,
`--verbose`. `weaver --version` says which version this is. Results go to standard output, progress
and errors to standard error; there is no colour off a terminal.
"""


def page() -> str:
    """Give the whole page."""
    root = root_command()
    context = click.Context(root, info_name="weaver", terminal_width=HELP_WIDTH, **CONTEXT)
    parts = [HEAD, _contents()]
    for title, rows in index.GROUPS.items():
        parts.append(f"## {title}\n")
        for name in (name for row in rows for name in row.names):
            command = root.get_command(context, name)
            assert command is not None
            parts += _sections(command, context, name)
    parts += ["## Exit codes\n", _exit_codes()]
    return "\n".join(parts)


def _contents() -> str:
    """Give a table of the commands, each with what it does."""
    lines = ["| command | does |", "|---|---|"]
    for rows in index.GROUPS.values():
        for row in rows:
            names = " ".join(f"[`{name}`](#weaver-{name})" for name in row.names)
            lines.append(f"| {names} | {row.text} |")
    return "\n".join(lines) + "\n"


def _sections(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    """Give a command's section, and those of the commands below it."""
    context = click.Context(command, info_name=name, parent=parent)
    text = command.get_help(context).rstrip()
    yield f"### {context.command_path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from _sections(found, context, below)


def _exit_codes() -> str:
    """Give the exit codes as a table."""
    lines = ["| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in exits.MEANINGS.items()]
    return "\n".join([*lines, "", *exits.NOTES, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
