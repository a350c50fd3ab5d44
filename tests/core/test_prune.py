"""How much may be removed without a yes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.prune import Grounds, guard, lately
from reconciler.model.record import PruneHold
from reconciler.model.units import ServiceName, minutes
from tests.core.building import name


def names(count: int) -> list[ServiceName]:
    return [name(f"s{index:03}") for index in range(count)]


@pytest.mark.parametrize(
    ("owned", "kept", "is_held"),
    [
        (0, 0, False),
        (1, 1, False),
        (1, 0, True),
        (2, 1, False),
        (2, 0, True),
        (4, 1, False),
        (4, 0, True),
        (5, 1, True),
        (10, 7, False),
        (10, 6, True),
        (100, 80, False),
        (100, 79, True),
    ],
)
def test_more_than_three_and_a_fifth_or_all_is_held(
    owned: int, kept: int, *, is_held: bool
) -> None:
    hold = guard(names(owned), names(kept), [], None)
    assert (hold is not None) == is_held
    if hold is not None:
        assert set(hold.services) == set(names(owned)) - set(names(kept))


def test_what_was_removed_by_name_does_not_count() -> None:
    assert guard(names(2), [], names(2), None) is None
    hold = guard(names(10), [], names(3), None)
    assert hold is not None
    assert hold.services == tuple(names(10)[3:])


def test_what_is_gone_beside_a_broken_file_waits_until_that_is_mended() -> None:
    owned, kept = names(5), names(4)
    held = guard(owned, kept, [], None, grounds=Grounds(doubts={owned[4]: "services.d/x.yaml"}))
    assert held is not None
    assert held.services == (owned[4],)
    assert held.because == "s004 may be defined in services.d/x.yaml, which is invalid"
    assert (
        guard(owned, kept, [], held, grounds=Grounds(doubts={owned[4]: "services.d/x.yaml"}))
        == held
    )
    assert (
        guard(
            owned, kept, [owned[4]], held, grounds=Grounds(doubts={owned[4]: "services.d/x.yaml"})
        )
        is None
    )
    assert guard(owned, kept, [], held) is None


def test_what_is_protected_waits_whoever_removes_what_else() -> None:
    hold = guard(names(10), names(7), [], None, grounds=Grounds(protected=names(9)))
    assert hold is not None
    assert hold.services == tuple(names(10)[7:])
    assert hold.because == "s007, s008 are protected"
    assert guard(names(10), names(9), [], None, grounds=Grounds(protected=names(9))) is None
    both = guard(names(2), [], [], None, grounds=Grounds(protected=names(1)))
    assert both is not None
    assert both.because == "all 2 services would be removed, and s000 is protected"


def test_words_and_id_say_what_would_go() -> None:
    one, many, all_of = (guard(names(10), names(kept), [], None) for kept in (5, 4, 0))
    assert one is not None
    assert many is not None
    assert all_of is not None
    assert one.because == "5 of 10 services would be removed"
    assert all_of.because == "all 10 services would be removed"
    assert len({one.id, many.id, all_of.id}) == 3
    only = guard(names(1), [], [], None)
    assert only is not None
    assert only.because == "the only service would be removed"


def test_the_same_removal_keeps_its_hold_and_a_yes_lasts_until_it_is_done() -> None:
    first = guard(names(10), names(5), [], None)
    assert first is not None
    assert guard(names(10), names(5), [], first) is first
    agreed = PruneHold(id=first.id, services=first.services, because=first.because, approved=True)
    assert guard(names(7), names(5), [], agreed) is agreed
    assert guard(names(5), names(5), [], agreed) is None


def test_a_yes_covers_nothing_else() -> None:
    going = tuple(names(20)[12:])
    agreed = PruneHold(id="a", services=going, because="", approved=True)
    hold = guard(names(20), names(6), going, agreed)
    assert hold is not None
    assert not hold.approved
    assert hold.services == tuple(names(12)[6:])
    assert guard(names(20), names(9), going, agreed) is agreed


def test_what_is_on_its_way_out_counts_neither_as_removed_nor_as_owned() -> None:
    last = guard(names(4), [], names(3), None)
    assert last is not None
    assert last.services == tuple(names(4)[3:])
    assert last.because == "the only service would be removed"
    assert guard(names(25), names(16), names(25)[20:], None) is None
    assert guard(names(25), names(15), names(25)[20:], None) is not None


def test_a_removal_that_waits_is_let_go_by_a_yes_only() -> None:
    first = guard(names(5), names(1), [], None)
    assert first is not None
    rest = guard(names(5), names(4), [], first)
    assert rest is not None
    assert rest.services == (names(5)[4],)
    assert rest.id != first.id
    assert rest.because == "1 of 5 services would be removed, the rest of a larger removal"
    assert guard(names(500), names(5), [], rest) is not None
    assert guard(names(5), names(5), [], rest) is None


def test_what_is_removed_while_a_removal_waits_waits_with_it() -> None:
    first = guard(names(10), names(5), [], None)
    more = guard(names(10), names(4), [], first)
    assert more is not None
    assert more.services == tuple(names(10)[4:])


@pytest.mark.parametrize(
    ("owned", "went", "asked", "is_held"),
    [
        (10, 0, 3, False),
        (10, 1, 2, False),
        (9, 1, 3, True),
        (7, 3, 1, True),
        (90, 10, 10, False),
        (90, 10, 11, True),
        (10, 9, 0, False),
    ],
)
def test_what_went_a_short_time_ago_counts_with_what_goes_now(
    owned: int, went: int, asked: int, *, is_held: bool
) -> None:
    before = names(owned + went)[owned:]
    hold = guard(names(owned), names(owned - asked), [], None, Grounds(lately=before))
    assert (hold is not None) == is_held


def test_a_hold_says_what_was_removed_before_where_that_is_what_makes_it_large() -> None:
    first = Grounds(lately=names(12)[9:])
    small = guard(names(9), names(7), [], None, first)
    large = guard(names(9), names(5), [], None, first)
    assert small is not None
    assert large is not None
    assert small.because == "2 of 9 services would be removed, after 3 in the 10 min before"
    assert large.because == "4 of 9 services would be removed"
    assert guard(names(9), names(7), [], small) is small, "time lets nothing go that waits"


def test_what_came_back_or_went_long_ago_counts_no_more() -> None:
    assert guard(names(9), names(7), [], None, Grounds(lately=names(3))) is None
    went = {name("s1"): minutes(1), name("s2"): minutes(2)}
    assert lately(went, minutes(10)) == went
    assert lately(went, minutes(11)) == {"s2": minutes(2)}
    assert lately(went, minutes(12)) == {}


@given(st.lists(st.integers(1, 5), max_size=20), st.integers(1, 60))
def test_however_a_removal_is_cut_up_it_takes_away_no_more(cuts: list[int], owned: int) -> None:
    left, went = names(owned), list[ServiceName]()
    for cut in cuts:
        kept = left[:-cut]
        if guard(left, kept, [], None, Grounds(lately=went)) is None:
            left, went = kept, went + left[-cut:]
    assert len(went) <= max(3, owned // 5)
    assert left


sets = st.sets(st.sampled_from(names(30)))


@given(sets, sets, sets)
def test_what_is_let_go_without_a_question_is_never_much(
    owned: set[ServiceName], wanted: set[ServiceName], leaving: set[ServiceName]
) -> None:
    hold = guard(owned, wanted, leaving, None)
    gone = owned - wanted - leaving
    if hold is None:
        assert len(gone) <= max(3, len(owned) // 5)
        assert not gone or owned & wanted
    else:
        assert set(hold.services) == gone
