"""What is drawn for one purpose moves nothing of what is drawn for another."""

from __future__ import annotations

from itertools import islice

from tests.sim.documents import FEW, PARTS, document
from tests.sim.episode import Swarm
from tests.sim.luck import Luck

MANY = 300


def test_a_luck_depends_on_its_purpose_alone() -> None:
    luck = Luck("seed")
    before = luck.of("hooks").random()
    luck.random()
    luck.of("needs").random()
    assert luck.of("hooks").random() == before
    assert Luck("seed").of("hooks").random() == before != Luck("seeds").of("hooks").random()


def test_a_choice_stays_what_it_was_unless_it_falls_on_what_is_new() -> None:
    few, more = Luck(7), Luck(7)
    both = [(few.choice("abcd"), more.choice("abxcd")) for _ in range(MANY)]
    assert {one for one, other in both if one != other} == set("abcd")
    assert {other for one, other in both if one != other} == {"x"}


def test_what_is_said_twice_is_chosen_twice_as_often() -> None:
    luck = Luck(7)
    times = [luck.choice(("yes", "yes", "no")) for _ in range(MANY)].count("yes")
    assert 0.6 * MANY < times < 0.75 * MANY


def test_some_are_as_many_as_asked_for_and_none_comes_twice() -> None:
    found = Luck(7).some("abcdef", FEW)
    assert len(set(found)) == len(found) == FEW


def test_one_more_kind_of_deed_moves_none_of_the_others() -> None:
    fewer = Swarm({"end": 6, "edit": 6})
    more = Swarm({"end": 6, "edit": 6, "ask": 3})
    one = islice(fewer.deeds(Luck(7)), 50)
    other = (deed for deed in more.deeds(Luck(7)) if deed[0].kind != "ask")
    assert list(one) == list(islice(other, 50))


def test_a_part_that_is_left_out_of_a_manifest_moves_no_other_part() -> None:
    for seed in range(MANY):
        whole = document(Luck(seed), "b", ["a"])
        plain = document(Luck(seed), "b", ["a"], ("limits", "hooks"))
        for field in ("command", "dependsOn", "instances", "stopTimeout", "ready"):
            assert whole.get(field) == plain.get(field)
    assert "limits" in PARTS
