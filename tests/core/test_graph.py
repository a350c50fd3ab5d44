"""Order, reach and cycles, against twins that are slow and plain."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.graph import cycle_through, knotted, reach, reverse, topological
from reconciler.model.units import ServiceName
from tests.core.building import name

NAMES = [name(text) for text in "abcdefg"]
Graph = dict[ServiceName, list[ServiceName]]


def graphs(*, acyclic: bool = False) -> st.SearchStrategy[Graph]:
    def build(edges: list[tuple[int, int]]) -> Graph:
        found: Graph = {one: [] for one in NAMES[:6]}
        for dependent, need in edges:
            if dependent < 6 and (not acyclic or need < dependent):
                found[NAMES[dependent]].append(NAMES[need])
        return found

    numbers = st.integers(0, 6)  # the seventh is needed and not defined
    return st.lists(st.tuples(numbers, numbers), max_size=14).map(build)


def known(needs: Graph, one: ServiceName) -> set[ServiceName]:
    return {need for need in needs[one] if need in needs}


def naive_reach(
    needs: Mapping[ServiceName, list[ServiceName]], one: ServiceName
) -> set[ServiceName]:
    """Give what can be reached in at least one step, by adding until nothing is added."""
    found = set(needs.get(one, []))
    while True:
        more = found | {need for here in found for need in needs.get(here, [])}
        if more == found:
            return found
        found = more


@given(graphs(acyclic=True))
def test_every_service_comes_after_its_needs_and_ties_go_by_name(needs: Graph) -> None:
    order: list[ServiceName] = []
    while len(order) < len(needs):
        order.append(min(one for one in set(needs) - set(order) if known(needs, one) <= set(order)))
    assert topological(needs) == order


@given(graphs())
def test_an_order_covers_every_service_once_whatever_needs_whom(needs: Graph) -> None:
    order = topological(needs)
    assert sorted(order) == sorted(needs)
    for one in needs:
        for need in known(needs, one):
            if one not in naive_reach(needs, need):
                assert order.index(need) < order.index(one)


@given(graphs())
def test_members_of_a_knot_stand_together_by_name(needs: Graph) -> None:
    order = topological(needs)
    for one in needs:
        knot = {here for here in naive_reach(needs, one) if one in naive_reach(needs, here)}
        places = sorted(order.index(here) for here in knot)
        assert places == list(range(places[0], places[0] + len(places))) if places else True
        assert [order[place] for place in places] == sorted(knot)


@given(graphs())
def test_a_service_is_knotted_when_it_can_reach_itself(needs: Graph) -> None:
    assert knotted(needs) == {one for one in needs if one in naive_reach(needs, one)}


@given(graphs())
def test_from_every_member_of_a_knot_a_cycle_can_be_walked(needs: Graph) -> None:
    for one in knotted(needs):
        path = cycle_through(needs, one)
        assert path[0] == one
        assert len(set(path)) == len(path)
        for here, following in zip(path, (*path[1:], path[0]), strict=True):
            assert following in needs[here]


@given(graphs(), st.sampled_from(NAMES))
def test_reach_includes_the_start(needs: Graph, one: ServiceName) -> None:
    assert reach(needs, [one]) == {one} | naive_reach(needs, one)


@given(graphs())
def test_dependents_are_the_needs_seen_from_the_other_side(needs: Graph) -> None:
    dependents = reverse(needs)
    assert set(dependents) == set(needs)
    for need, found in dependents.items():
        assert found == sorted(one for one in needs if need in needs[one])


@pytest.mark.parametrize("width", [10_000])
def test_a_long_chain_is_no_deeper_than_a_short_one(width: int) -> None:
    chain = {name(f"s{index}"): [name(f"s{index - 1}")] for index in range(width)}
    assert topological(chain)[-1] == f"s{width - 1}"
    ring = {**chain, name("s0"): [name(f"s{width - 1}")]}
    assert len(cycle_through(ring, name("s0"))) == width
    assert len(topological(ring)) == width
