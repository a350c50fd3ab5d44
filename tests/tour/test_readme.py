"""The README's console blocks are played from top to bottom, by a newcomer on an empty machine.

`pytest tests/tour --rewrite` writes what was really printed into the README.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.cli.transcript import Stage, steady

README = Path(__file__).parents[2] / "README.md"
FENCE = "```"
CURLRC = "silent\nretry = 20\nretry-delay = 1\nretry-connrefused\n"
"""A program that listens a moment later than usual is no failure of the tour."""

MEASURES = re.compile(r"(?<= )(CPU|SIZE|SPAN|PID|-|\d{2,}|\*:\d+)(?= |$)")
"""What may be measured, or not yet, in a row of a table."""

CUT = re.compile(r"  (?:(?!  ).)*…$", re.MULTILINE)
"""A cell that was cut off; where depends on how wide its neighbours are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command with all its lines, its output, and where in the README both stand."""

    command: str
    output: str
    first: int
    last: int

    @property
    def title(self) -> str:
        return f"{self.first}: {self.command.partition(chr(10))[0]}"


def steps_of(lines: Sequence[str]) -> Iterator[Step]:
    """Give every command of the console blocks; `> ` goes on with a command."""
    in_console, step = False, None
    for number, line in enumerate(lines):
        if step is not None and line.startswith((FENCE, "$ ")):
            yield step
            step = None
        if line.startswith(FENCE):
            in_console = line == f"{FENCE}console"
        elif in_console and line.startswith("$ "):
            step = Step(command=line[2:], output="", first=number, last=number + 1)
        elif step is not None and line.startswith(">") and not step.output:
            command = f"{step.command}\n{line[2:]}"
            step = replace(step, command=command, last=number + 1)
        elif step is not None:
            step = replace(step, output=f"{step.output}{line}\n", last=number + 1)


def alike(text: str) -> str:
    """Leave out of an output what differs from run to run, where lines are wrapped included."""
    plain = " ".join(steady(CUT.sub("  …", text), {}).split())
    return MEASURES.sub("~", plain)


def rewritten(lines: Sequence[str], played: Sequence[tuple[Step, str]]) -> str:
    """Give the README with the outputs that are not alike replaced."""
    fresh = list(lines)
    for step, output in reversed(played):
        if alike(output) != alike(step.output):
            head = 1 + step.command.count("\n")
            fresh[step.first + head : step.last] = output.splitlines()
    return "\n".join(fresh) + "\n"


@pytest.mark.real
@pytest.mark.timeout(300)
def test_the_tour_of_the_readme_shows_what_really_happens(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tmp_path / ".curlrc").write_text(CURLRC)
    lines = README.read_text("utf-8").splitlines()
    stage = Stage(tmp_path)
    stage.say("cd")
    try:
        played = [(step, stage.say(step.command)) for step in steps_of(lines)]
    finally:
        stage.run("for state in ~/*/.weaver; do weaver -C ${state%/.weaver} down; done")
    if request.config.getoption("--rewrite"):
        README.write_text(rewritten(lines, played), "utf-8")
        return
    assert len(played) > 20
    for step, output in played:
        assert alike(output) == alike(step.output), f"{step.title}\n{output}"


def test_commands_of_several_lines_and_blocks_without_commands_are_understood() -> None:
    text = "```console\n$ cat <<E\n> one\n> E\none\n$ true\n```\n```sh\n$ no\n```\n".splitlines()
    assert [(step.command, step.output) for step in steps_of(text)] == [
        ("cat <<E\none\nE", "one\n"),
        ("true", ""),
    ]


def test_rewriting_replaces_only_what_is_not_alike() -> None:
    text = "```console\n$ a\nafter 2.5 s\n$ b\nold\n```".splitlines()
    first, second = steps_of(text)
    fresh = rewritten(text, [(first, "after 1.1 s\n"), (second, "new\nnewer\n")])
    assert fresh == "```console\n$ a\nafter 2.5 s\n$ b\nnew\nnewer\n```\n"
