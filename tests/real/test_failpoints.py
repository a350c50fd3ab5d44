"""Daemon, holder or both are killed beside each thing that they do, and nothing comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.ordeal import ordeal, points

pytestmark = pytest.mark.real

GROUPS = (
    ("crash",),
    ("restart", "journal"),
    ("limit", "kill", "notify"),
    ("edit",),
    ("begin", "schema"),
    ("holder", "revive", "mend"),
    ("reexec", "leave", "down"),
)
ELSEWHERE = {"rotate"}
"""tests/logs strikes these, with every file system's ways."""


def test_every_point_is_struck() -> None:
    struck = {deed for group in GROUPS for deed in group} | ELSEWHERE
    assert {point.deed for point in points()} == struck


@pytest.mark.parametrize("deeds", GROUPS, ids="-".join)
def test_p2_a_program_that_dies_at_any_point_loses_and_doubles_nothing(
    deeds: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P2, P4, S5: each point once; at every other one both programs are killed."""
    with ordeal(tmp_path, monkeypatch) as test:
        for number, point in enumerate(points(*deeds)):
            test.strike(point, both=number % 2 == 1)
        test.check_all()
