"""The page of faults: every row names a test that is there; the catalogue is gone through whole."""

from __future__ import annotations

import re

import pytest

from tools.docs import DOCS

PAGE = DOCS / "faults.md"
ROW = re.compile(r"^\| (?!what is wrong)(.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
NAMED = re.compile(r"test_((?:[a-z]\d+_(?:and_)?)+)")
ENTRY = re.compile(r"\b[PRCSVLYHG]\d+\b")
LEFT_OUT = re.compile(r"^\| ([A-Z]\d+), .+? \| .+ \|$", re.MULTILINE)
CATALOGUE = {"P": 17, "R": 19, "C": 10, "V": 24, "L": 12, "H": 15, "G": 28, "Y": 21}
"""How many entries each room of the catalogue has: processes, host, clocks, services, logs,
health, git, manifests."""
TEST = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """Give every row: what is wrong, what happens, what proves it."""
    return ROW.findall(PAGE.read_text("utf-8").partition("## Without a test")[0])


def known_tests() -> set[str]:
    """Give the names of all tests."""
    files = (DOCS.parent / "tests").rglob("test_*.py")
    return {name for file in files for name in TEST.findall(file.read_text("utf-8"))}


@pytest.mark.parametrize(("wrong", "proof"), [(wrong, proof) for wrong, _, proof in rows()])
def test_every_fault_is_proved_by_a_test_that_exists(wrong: str, proof: str) -> None:
    assert proof.strip("`") in known_tests(), wrong


def entries_of(proof: str) -> set[str]:
    """Give the entries of the catalogue that a test is named after."""
    named = NAMED.match(proof.strip("`"))
    return set(re.findall(r"[A-Z]\d+", named[1].upper())) if named else set()


def test_every_entry_of_the_catalogue_has_a_test_named_after_it_or_a_reason_why_not() -> None:
    entries = {f"{room}{number + 1}" for room, size in CATALOGUE.items() for number in range(size)}
    proved = {entry for _, _, proof in rows() for entry in entries_of(proof)}
    left_out = set(LEFT_OUT.findall(PAGE.read_text("utf-8")))
    assert entries | {"S10"} <= proved | left_out
    assert not proved & left_out


@pytest.mark.parametrize(("wrong", "proof"), [(wrong, proof) for wrong, _, proof in rows()])
def test_a_row_names_the_entries_that_its_test_is_named_after(wrong: str, proof: str) -> None:
    assert entries_of(proof) == set(ENTRY.findall(wrong)), wrong


def test_every_line_of_a_table_is_a_row() -> None:
    page = PAGE.read_text("utf-8").partition("## Without a test")[0]
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line.startswith("| what is wrong |")]
    assert len(rows()) == len(lines) - len(heads) > 20
    assert len({proof for _, _, proof in rows()}) == len(rows())
