"""Bugs of what is done to processes by hand: not noticed, not undone, undone at the wrong one."""

from __future__ import annotations

from tests.sim.planting import Mutant

DRIFTS = (
    Mutant(
        name="what-was-put-right-in-vain-is-left-so",
        module="reconciler/core/drift.py",
        before="    if drift.until <= now:\n",
        after="    if not drift.problem and drift.until <= now:\n",
        story="Somebody stops a process while the holder is out of reach. It cannot be told to go"
        " on just then, and nobody tells it later: it stands still for ever.",
    ),
    Mutant(
        name="each-round-tells-of-drift-anew",
        module="reconciler/core/drift.py",
        before="    if before is not None and (before.is_halted, before.nice) == "
        "(found.is_halted, found.nice):\n",
        after="    if before is None and found is None:\n",
        story="A repair that is not permitted is begun anew with every round, and each round is an"
        " event, though one is under way.",
    ),
    Mutant(
        name="any-nice-is-the-manifest-s",
        module="reconciler/core/drift.py",
        before="return process.digest == spec.digest and spec.nice not in (None, drift.nice)",
        after="return process.digest == spec.digest and spec.nice is None",
        story="Somebody renices the database to 19, where its manifest says 0, and it stays slow;"
        " one whose manifest says nothing is reniced all the time.",
    ),
    Mutant(
        name="whoever-is-put-right-is-told-to-go-on",
        module="reconciler/core/drift.py",
        before="            resumes=drift.is_halted,\n",
        after="            resumes=True,\n",
        story="Somebody renices a service that keeps its workers stopped while it backs up: they"
        " are told to go on in the middle of it.",
    ),
)
