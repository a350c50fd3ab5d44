"""The page of faults: every row names a test, and every test it names is there."""

from __future__ import annotations

import re

import pytest

from tools.docs import DOCS

PAGE = DOCS / "faults.md"
ROW = re.compile(r"^\| (?!what is wrong)(.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
TEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """Give every row: what is wrong, what happens, what proves it."""
    return ROW.findall(PAGE.read_text("utf-8"))


def known_tests() -> set[str]:
    """Give the names of all tests."""
    files = (DOCS.parent / "tests").rglob("test_*.py")
    return {name for file in files for name in TEST.findall(file.read_text("utf-8"))}


@pytest.mark.parametrize(("wrong", "proof"), [(wrong, proof) for wrong, _, proof in rows()])
def test_every_fault_is_proved_by_a_test_that_exists(wrong: str, proof: str) -> None:
    assert proof.strip("`") in known_tests(), wrong


def test_every_line_of_a_table_is_a_row() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| what is wrong |")]
    assert len(rows()) == len(lines) - len(heads) > 20
    assert len({proof for _, _, proof in rows()}) == len(rows())
