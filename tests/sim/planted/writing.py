"""Bugs about what shares a commit, and about commits that nobody asked for."""

from __future__ import annotations

from tests.sim.planting import Mutant

TOGETHER = (
    Mutant(
        name="a-commit-has-changes-of-two-people",
        module="reconciler/core/batching.py",
        before="return author == self.author and is_apart and",
        after="return is_apart and",
        story="Two people apply at the same time. The history says that one of them did both, and"
        " the undo of one takes back the work of the other.",
    ),
    Mutant(
        name="a-later-change-overtakes-an-earlier-one",
        module="reconciler/core/batching.py",
        before="services & self.services and not services & self.passed",
        after="services & self.services",
        story="A script sets a value of a service twice, at once. In the end it has the first of"
        " both values, once in a while.",
    ),
    Mutant(
        name="two-changes-of-one-service-share-a-commit",
        module="reconciler/core/batching.py",
        before="not services & self.services and not",
        after="not",
        story="A service is applied from two terminals. One of both texts is in no commit, and who"
        " sent it is told that it landed.",
    ),
)

UNASKED = (
    Mutant(
        name="an-hour-has-one-unasked-commit-too-many",
        module="reconciler/core/unasked.py",
        before="        if len(counted) >= most:\n",
        after="        if len(counted) > most:\n",
        story="A generator that quarrels with the daemon gets more answers than the bound says.",
    ),
    Mutant(
        name="a-quarrel-goes-on",
        module="reconciler/core/unasked.py",
        before="len(own) >= RETURNS",
        after="len(own) >= OF_ALL",
        story="A pipeline puts a version that failed back into its manifest every minute, and the"
        " daemon takes it out as often, until the budget of the hour is used up.",
    ),
    Mutant(
        name="the-hour-of-unasked-commits-has-no-end",
        module="reconciler/core/unasked.py",
        before="made.at > wish.at - WINDOW_S",
        after="made.at > 0",
        story="After six ports in the life of a service the seventh is never written, and the"
        " service waits for ever.",
    ),
)
