"""Bugs about what is followed of a branch elsewhere, when it is looked at, and what is pushed."""

from __future__ import annotations

from tests.sim.planting import Mutant

VERIFIED = (
    Mutant(
        name="a-branch-that-was-set-back-is-followed",
        module="reconciler/core/heads.py",
        before="case Relation.FIRST | Relation.SAME | Relation.AHEAD:",
        after="case Relation.FIRST | Relation.SAME | Relation.AHEAD | Relation.BEHIND:",
        story="Somebody pushes an old branch by force, and all hosts run last month's versions.",
    ),
    Mutant(
        name="a-rewritten-history-is-followed",
        module="reconciler/core/heads.py",
        before="    match step.relation:\n",
        after="    if step.relation is Relation.REWRITTEN:\n"
        "        return None\n"
        "    match step.relation:\n",
        story="A forced push drops a colleague's commits, and the services that these brought"
        " are stopped within ten seconds.",
    ),
    Mutant(
        name="only-the-newest-signature-counts",
        module="reconciler/core/trust.py",
        before="return self in (Verify.WARN, Verify.RANGE)",
        after="return self is Verify.WARN",
        story="A forge adds its own signed merge to commits of nobody, and all of it is run.",
    ),
    Mutant(
        name="one-good-signature-is-enough",
        module="reconciler/core/trust.py",
        before="    more = len(bad) - MOST_NAMED\n",
        after="    if len(bad) < len(signatures):\n"
        '        return ""\n'
        "    more = len(bad) - MOST_NAMED\n",
        story="Of ten new commits nine are signed, and the one that nobody signed is run.",
    ),
    Mutant(
        name="who-is-not-known-counts-as-signer",
        module="reconciler/core/trust.py",
        before="one.status != GOOD]",
        after='one.status not in (GOOD, "U")]',
        story="Anybody makes a key, signs with it, and is followed by every host.",
    ),
    Mutant(
        name="what-is-held-is-followed-all-the-same",
        module="reconciler/runtime/following.py",
        before="        if held is None and step.relation is not Relation.SAME:\n"
        "            await self._advance",
        after="        if step.relation is not Relation.SAME:\n            await self._advance",
        story="Status says that the new history is not followed, and it runs already.",
    ),
    Mutant(
        name="a-yes-counts-for-any-commit",
        module="reconciler/runtime/following.py",
        before="if len(text) < SHORTEST_COMMIT or not fetched.startswith(text.lower()):",
        after="if len(text) < SHORTEST_COMMIT:",
        story="Somebody looks at a rewritten history and says yes; meanwhile it was rewritten once"
        " more, and what nobody has looked at is run.",
    ),
)

LOOKS = (
    Mutant(
        name="a-side-that-is-down-is-asked-as-often",
        module="reconciler/core/polling.py",
        before="2 ** min(max(0, looks.failures - 1), 16)",
        after="1",
        story="A forge that breaks down under its load is asked by a thousand hosts every ten"
        " seconds, and does not come up again.",
    ),
    Mutant(
        name="a-side-that-was-down-is-asked-no-more",
        module="reconciler/core/polling.py",
        before="    base = min(base, max(interval, LONGEST_PAUSE))\n",
        after="",
        story="After a weekend without its forge a host looks at it next in a week.",
    ),
    Mutant(
        name="a-branch-that-is-not-seen-counts-as-fresh",
        module="reconciler/core/polling.py",
        before="self.failures >= MISSED_LOOKS",
        after="self.failures > MISSED_LOOKS * 2",
        story="A password of the forge has expired. Status goes on saying that all is in sync.",
    ),
    Mutant(
        name="one-missed-look-counts-as-blindness",
        module="reconciler/core/polling.py",
        before="self.failures >= MISSED_LOOKS",
        after="self.failures > 0",
        story="Each lost packet on the way to the forge wakes somebody at night.",
    ),
    Mutant(
        name="who-hurries-during-a-look-waits-for-the-clock",
        module="reconciler/runtime/following.py",
        before="            self._hurried.clear()\n            await self._round()\n",
        after="            await self._round()\n            self._hurried.clear()\n",
        story="A webhook comes in while the branch is being looked at; the push that it told of is"
        " seen a whole interval later.",
    ),
    Mutant(
        name="a-branch-that-came-back-is-held-for-ever",
        module="reconciler/runtime/following.py",
        before="        elif tip == self.standing.verified:\n            fetched = tip\n",
        after="",
        story="A forced push is taken back within the minute. Hosts say for ever that the history"
        " was rewritten, and follow nothing any more.",
    ),
    Mutant(
        name="what-was-held-stays-held",
        module="reconciler/runtime/following.py",
        before="replace(self.standing, fetched=fetched, held=held)",
        after="replace(self.standing, fetched=fetched, held=held or self.standing.held)",
        story="A branch was away for a moment, is back and has not moved. Status says that there is"
        " no such branch.",
    ),
)

PUSHES = (
    Mutant(
        name="a-lost-race-is-run-again-from-the-same-place",
        module="reconciler/adapters/git/remote/repository.py",
        before="is_newest=not attempt and not if_revision",
        after="is_newest=not if_revision",
        story="A colleague pushes a moment before; weaver set loses the same race ten times, and"
        " gives up.",
    ),
    Mutant(
        name="a-lost-race-counts-as-won",
        module="reconciler/adapters/git/remote/repository.py",
        before="                words = str(lost)\n",
        after="                words = str(lost)\n                return built\n",
        story="Two people change something at once. Both are told a commit, and one of these is in"
        " no branch.",
    ),
    Mutant(
        name="what-was-pushed-is-followed-by-the-clock",
        module="reconciler/adapters/git/remote/repository.py",
        before="            await self._ties.adopt(built.commit)\n",
        after="",
        story="weaver stop answers, and the service runs on for ten seconds.",
    ),
)
