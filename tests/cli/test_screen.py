"""On a terminal no word is cut at the edge; elsewhere a line stays a line."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from reconciler.cli import screen
from reconciler.cli.commands.validate import _shown
from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.model.diagnostic import Diagnostic, Source

WAYS = ", ".join(f"`SIG{n}`" for n in range(30))
FAULT = Diagnostic(
    source=Source(file="services.d/web.yaml", line=3, column=13),
    code="W204",
    message="`stopSignal` cannot be `SIGFOO`, which is no signal that this host knows of",
    mend=f"write one of {WAYS}",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_fault_is_folded_at_the_edge_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with redirect_stdout(Terminal()):
        lines = _shown(FAULT, Session(directory=None, plain=True)).split("\n")
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == (
        f"{FAULT.source}: W204 {FAULT.message} mend: {FAULT.mend}"
    )


def test_off_a_terminal_it_is_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    screen.out(_shown(FAULT, Session(directory=None)))
    assert capsys.readouterr().out.count("\n") == 2


def test_a_mend_among_the_details_is_folded_and_a_line_of_a_log_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    log = f"    | {WAYS}"
    with redirect_stderr(Terminal()) as terminal:
        screen.complain(CommandError("no", details=[log, f"    mend: {WAYS}"]))
    assert [line for line in terminal.getvalue().splitlines() if len(line) > 80] == [log]
