"""Histories that Hypothesis makes up, of the same deeds that the swarm chooses from."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from tests.sim.kinds import KINDS, Deed


@st.composite
def deeds(draw: st.DrawFn) -> Deed:
    """Give one thing that is done to a host."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    luck: Random = draw(st.randoms(use_true_random=False))
    return Deed(kind, KINDS[kind].draw(luck))


def histories(at_most: int = 25) -> st.SearchStrategy[list[Deed]]:
    """Give what happens to a host, one thing after another."""
    return st.lists(deeds(), max_size=at_most)
