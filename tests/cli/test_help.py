"""Help: short enough to read, true to the index, and the same for every command."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reconciler.cli import exits, index
from reconciler.cli.root import root_command
from reconciler.manifest.explain import explain
from tests.cli.shell import surroundings, weaver

LINES = 40
COLUMNS = 80


def every_command() -> list[tuple[str, ...]]:
    """Give the words of every command, those of groups included."""
    root = root_command()
    context = click.Context(root, info_name="weaver")
    found: list[tuple[str, ...]] = []
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, below) for below in command.commands]
    return found


def test_the_first_help_has_five_groups_in_forty_lines(tmp_path: Path) -> None:
    said = weaver("--help", cwd=tmp_path)
    lines = said.stdout.splitlines()
    assert said.returncode == 0
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert [line for line in lines if line in index.GROUPS] == list(index.GROUPS)
    assert len(index.GROUPS) == 5


def test_without_a_word_weaver_shows_its_help(tmp_path: Path) -> None:
    assert weaver(cwd=tmp_path).stdout == weaver("--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_has_help_that_fits_the_terminal(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from reconciler.cli.main import run

    assert run([*words, "--help"]) == exits.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Usage: weaver {' '.join(words)}")
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    command: click.Command = root_command()
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.opts for option in options if not option.help] == []


def test_every_command_of_the_index_is_there() -> None:
    for name, module in index.MODULES.items():
        loaded = importlib.import_module(f"reconciler.cli.commands.{module}")
        assert getattr(loaded, f"{name.replace('-', '_')}_command").name == name


LIST_MODULES = """
import sys
from reconciler.cli.main import run
assert run(["--help"]) == 0
sys.stderr.write("\\n".join(name for name in sys.modules if name.startswith("reconciler.")))
"""


def test_help_loads_no_command() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LIST_MODULES],
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "reconciler.cli.root" in said.stderr.split()
    assert not [name for name in said.stderr.split() if ".commands" in name]


def test_exit_codes_are_explained(tmp_path: Path) -> None:
    said = weaver("help", "exit-codes", cwd=tmp_path)
    shown = {line.split()[0] for line in said.stdout.splitlines() if line[:5].strip().isdigit()}
    assert shown == {str(code) for code in exits.MEANINGS}
    assert [line for line in said.stdout.splitlines() if len(line) > COLUMNS] == []


def test_help_of_a_command_is_its_help_option(tmp_path: Path) -> None:
    asked = weaver("help", "service", "list", cwd=tmp_path)
    assert asked.stdout == weaver("service", "list", "--help", cwd=tmp_path).stdout


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    from reconciler import __version__

    assert weaver("--version", cwd=tmp_path).stdout == f"weaver {__version__}\n"


@pytest.mark.parametrize("group", ["service", "config", "prune"])
def test_a_group_without_a_word_shows_its_help(group: str, tmp_path: Path) -> None:
    said = weaver(group, cwd=tmp_path)
    assert said.returncode == exits.USAGE
    assert said.stderr == weaver(group, "--help", cwd=tmp_path).stdout


def test_a_field_that_only_guards_is_not_said_to_be_shown_only() -> None:
    assert "when it changes: no process is touched" in explain("protect")
