"""Commands and what they print, in one text file: played, compared, and rewritten on request.

A line that begins with `$ ` is a command for the shell; what follows is its output, up to the next
command. `[exit 7]` says that it did not succeed. `# ` begins a remark. A file whose first line has
the word `real` starts real processes. Ports, commits, pids and times differ from run to run, so
they are replaced by words on both sides.
"""

from __future__ import annotations

import re
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cli.shell import surroundings

PORT = "8123"
"""The port that transcripts speak of; a free one takes its place while they are played."""

LIMIT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command with the remarks before it, and its output."""

    remarks: tuple[str, ...]
    command: str
    output: str


def parse(text: str) -> tuple[list[Step], list[str]]:
    """Split a transcript into its steps, and the lines before the first of them."""
    preface: list[str] = []
    steps: list[Step] = []
    remarks: list[str] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append(Step(remarks=tuple(remarks), command=line[2:], output=""))
            remarks = []
        elif line.startswith("# "):
            remarks.append(line)
        elif steps and not remarks:
            last = steps[-1]
            steps[-1] = Step(
                remarks=last.remarks, command=last.command, output=f"{last.output}{line}\n"
            )
        else:
            remarks.append(line)
    if steps:
        preface, first = list(steps[0].remarks), steps[0]
        steps[0] = Step(remarks=(), command=first.command, output=first.output)
    return steps, preface


def write(steps: Iterable[Step], preface: Iterable[str]) -> str:
    """Put a transcript together again."""
    lines = list(preface)
    for step in steps:
        lines += [*step.remarks, f"$ {step.command}", *step.output.splitlines()]
    return "\n".join(lines) + "\n"


class Stage:
    """An empty directory with `weaver` on its PATH, in which a transcript is played."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "app"
        self.home.mkdir()
        self._tools = directory / "bin"
        self._tools.mkdir()
        self._port = free_port()
        launcher = self._tools / "weaver"
        launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n')
        launcher.chmod(0o755)

    @property
    def env(self) -> dict[str, str]:
        """Give the environment of every command."""
        env = surroundings({"COLUMNS": "80", "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        who = {"NAME": "Ana", "EMAIL": "ana@example.org"}
        for role in ("AUTHOR", "COMMITTER"):
            env |= {f"GIT_{role}_{key}": value for key, value in who.items()}
        return {**env, "PATH": f"{self._tools}:{env['PATH']}", "HOME": str(self.home.parent)}

    def play(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Run each command and give the step with what it really printed."""
        for step in steps:
            said = self._ask(step.command)
            ended = f"[exit {said.returncode}]\n" if said.returncode else ""
            output = self._steady(said.stdout) + ended
            yield Step(remarks=step.remarks, command=step.command, output=output)

    def say(self, command: str) -> str:
        """Run a command and give what it really printed; only where it ran is put in other words.

        A `cd` lasts, as it does in a terminal.
        """
        kept = self._tools / "where"
        where = kept.read_text("utf-8").strip() if kept.exists() else "."
        after = f"code=$?; pwd >{shlex.quote(str(kept))}; exit $code"
        said = self._ask(f"cd {shlex.quote(where)}\n{command}\n{after}").stdout
        for found, word in {str(self.home.parent): "/home/ana", self._port: PORT}.items():
            said = said.replace(found, word)
        return said

    def _ask(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as it is typed, and give how it ended and what it said."""
        return subprocess.run(
            ["/bin/bash", "-c", command.replace(PORT, self._port)],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def run(self, command: str) -> None:
        """Run a command for its effect, as at the end of a play."""
        subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.home,
            env=self.env,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
        )

    def _steady(self, text: str) -> str:
        """Replace what differs from run to run."""
        named = {self.env["PATH"]: "$PATH", str(self.home): "/srv/app", self._port: PORT}
        return steady(text, named)


_VOLATILE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "WHEN"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "TIME"),
    (re.compile(r"\b(\d{4}-\d\d-\d\d|\d\d/[A-Z][a-z]{2}/\d{4})\b"), "DAY"),
    (re.compile(r"\bversion [0-9a-f]{8}\b"), "version VERSION"),
    (
        re.compile(r"\b(?=[0-9a-f]*[a-f]|\d{7}\b)([0-9a-f]{40}|[0-9a-f]{7,12})\b"),
        "COMMIT",
    ),
    (re.compile(r"\b(pid|daemon) \d+"), r"\1 PID"),
    (re.compile(r"\buid:\d+"), "uid:UID"),
    (re.compile(r"(?<![\w.])\d+(\.\d+)? (ms|s|min|h)\b( \d+ (s|min)\b)?"), "SPAN"),
)

_MEASURED = frozenset({"UP", "CPU", "MEM", "PSS", "SWAP", "FILES", "PID", "LISTEN"})
"""Columns whose values nobody can know beforehand."""
_TITLES = re.compile(r" *[A-Z]+(?: [A-Z]+)?(?: {2,}[A-Z]+(?: [A-Z]+)?)+")
_UNSURE = ("  listens on ",)
"""Beginnings of lines that are there only when a measurement was made in time."""


def steady(text: str, named: Mapping[str, str]) -> str:
    r"""Replace times, commits, pids and measures by words; columns of tables close up.

    >>> print(steady("NAME  UP  WHY\nweb   3s  9be0177\n", {}), end="")
    NAME  UP  WHY
    web  _  COMMIT
    """
    for found, word in named.items():
        text = text.replace(found, word)
    lines: list[str] = []
    titles: list[str] = []
    for line in text.splitlines():
        if _TITLES.fullmatch(line) or not line.strip():
            titles = re.split(r" {2,}", line.strip()) if line.strip() else []
            lines.append(_indent(line) + "  ".join(titles))
        elif not line.startswith(_UNSURE):
            lines.append(_steady_line(_row(line, titles) if titles else line))
    return "".join(f"{line}\n" for line in lines)


def _row(line: str, titles: Sequence[str]) -> str:
    """Give one row of a table, closed up and without what was measured."""
    cells = re.split(r" {2,}", line.strip(), maxsplit=len(titles) - 1)
    shown = [
        "_" if title in _MEASURED else cell for title, cell in zip(titles, cells, strict=False)
    ]
    return _indent(line) + "  ".join(shown)


def _steady_line(line: str) -> str:
    """Replace what differs in one line; where something did, columns close up."""
    plain = line
    for pattern, word in _VOLATILE:
        plain = pattern.sub(word, plain)
    return plain if plain == line else _indent(plain) + re.sub(r" {2,}", "  ", plain.lstrip())


def _indent(line: str) -> str:
    """Give the blanks that a line begins with."""
    return line[: len(line) - len(line.lstrip())]


def free_port() -> str:
    """Give a port that nobody listens on just now, of as many digits as the one spoken of."""
    for port in (5000 + secrets.randbelow(4999) for _ in range(100)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return str(port)
    raise AssertionError("no port is free")
