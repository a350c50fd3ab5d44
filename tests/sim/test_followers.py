"""Days on which a branch elsewhere is followed, played alone: many of them take a second."""

from __future__ import annotations

import pytest

from tests.sim.followers import follow_for_a_day


@pytest.mark.parametrize("first", [0, 25, 50, 75])
def test_whatever_becomes_of_a_branch_what_is_verified_is_followed(first: int) -> None:
    for seed in range(first, first + 25):
        follow_for_a_day(seed)
