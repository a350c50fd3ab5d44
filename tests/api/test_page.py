"""Long lines: folded where a person reads them, and never where a program does."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.human import cells
from reconciler.api.page import NARROWEST, Page, fold

TEXTS = st.text(st.sampled_from("ab日é -/"), max_size=200).map(str.strip)


@given(TEXTS, st.integers(NARROWEST, 100), st.integers(0, 60))
def test_a_folded_line_has_all_words_and_is_no_wider_than_the_page(
    text: str, width: int, begun: int
) -> None:
    first, *rest = fold(text, Page(width=width, folds=True), begun=begun, indent=35).split("\n")
    assert begun + cells(first) <= width or not first
    assert all(cells(line) <= width for line in rest)
    assert "".join((first + "".join(rest)).split()) == "".join(text.split())


@given(TEXTS, st.integers(NARROWEST, 100))
def test_a_line_is_left_alone_where_nothing_is_folded(text: str, width: int) -> None:
    assert fold(text, Page(width=width)) == text
    assert fold(text, Page(width=max(width, cells(text)), folds=True)) == text


LOG = f"2026-11-22T10:00:00.000Z INFO app.life: {' '.join(map(str, range(60)))}\n"


@pytest.mark.real
def test_the_daemon_s_log_is_folded_for_a_terminal_and_not_for_a_pipe(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".weaver").mkdir()
    (tmp_path / ".weaver" / "daemon.log").write_text(LOG)
    command = [sys.executable, "-m", "reconciler", "logs", "--daemon"]
    env = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(Path(__file__).parents[2])}
    piped = subprocess.run(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, check=True)
    assert piped.stdout.decode() == LOG
    ours, its = pty.openpty()
    subprocess.run(command, cwd=tmp_path, env=env, stdout=its, check=True)
    os.close(its)
    shown = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    lines = shown.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert shown.split() == LOG.split()
