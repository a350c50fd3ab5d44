"""The page of the simulator: every bug has its test and its row, and what can be typed works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.sim.__main__ import main
from tools.docs import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "simulation.md").read_text("utf-8")
REGRESSIONS = Path(__file__).with_name("test_regressions.py")
TEST = re.compile(r"^def (test_\w+)\(", re.MULTILINE)
BUGS = PAGE.partition("## The bugs it found\n")[2]
ROW = re.compile(r"^\| (?!bug \|)([^|]+) \| ([^|]+) \| ([^|]+) \| `([^|`]+)` \|$", re.MULTILINE)
COMMAND = re.compile(r"`python -m tests\.sim ([^`]+)`")


def proofs() -> list[str]:
    """Give the tests and the stories that the table names, in its order."""
    return [proof for _, _, _, proof in ROW.findall(BUGS)]


def test_every_line_of_the_table_is_a_row_of_a_bug_of_its_own() -> None:
    lines = [line for line in BUGS.splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| bug |")]
    rows = ROW.findall(BUGS)
    assert len(rows) == len(lines) - len(heads) > 20
    assert len({bug for bug, _, _, _ in rows}) == len(rows)
    assert len(set(proofs())) == len(rows)


def test_every_regression_has_a_row_in_the_table() -> None:
    told = TEST.findall(REGRESSIONS.read_text("utf-8"))
    assert [name for name in told if name not in proofs()] == []


@pytest.mark.parametrize("proof", proofs())
def test_what_the_table_names_is_there(proof: str) -> None:
    if proof.startswith("tests/transcripts/"):
        assert (ROOT / proof).is_file()
        return
    files = [*(ROOT / "tests/sim").glob("test_*.py"), *(ROOT / "tests/core").glob("test_*.py")]
    assert proof in {name for file in files for name in TEST.findall(file.read_text("utf-8"))}


@pytest.mark.parametrize("command", COMMAND.findall(PAGE))
def test_what_the_page_says_to_type_is_understood(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *words = shlex.split(command)
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert [word for word in words if word.startswith("--") and word not in said] == []
