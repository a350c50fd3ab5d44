"""Daemon, holder or both are killed beside each thing that they do, and nothing comes of it."""

from __future__ import annotations

import pytest

from tests.real.points import Blow, points
from tests.real.strikes import OUTSIDE, each_once, every, report, share, side_by_side

pytestmark = pytest.mark.real


def test_every_point_is_struck_and_every_blow_is_dealt() -> None:
    """Those of logs are struck by tests/logs, with every file system's ways."""
    once = each_once()
    assert {point.name for point, _ in once} == {
        point.name for point in points() if point.deed not in OUTSIDE
    }
    assert {blow for _, blow in once} == {*Blow}
    assert {*once} < {*every(seed=1)}
    assert [*share(once, 0, 2), *share(once, 1, 2)] != once
    assert {*share(once, 0, 2), *share(once, 1, 2)} == {*once}


@pytest.mark.timeout(300)
def test_p2_a_program_that_dies_at_any_point_loses_and_doubles_nothing() -> None:
    """P2, P4, S5: one blow at each point, in two ordeals side by side; `make soak` deals all."""
    done = side_by_side(["--once"])
    assert done["strikes"] == len(each_once()), report(done, 0)
    assert done["deaths meanwhile"] > 90
