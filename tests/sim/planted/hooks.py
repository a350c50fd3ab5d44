"""Bugs about what runs around the life of a process: skipped, run twice, or left behind."""

from __future__ import annotations

from tests.sim.planting import Mutant

FIRST = (
    Mutant(
        name="a-failed-hook-lets-the-service-start",
        module="reconciler/core/sides.py",
        before="    if not problem:\n",
        after="    if not problem or side.role is Role.PRE_START:\n",
        story="The migration fails before a start, and the new version serves from the old schema.",
    ),
    Mutant(
        name="every-other-hook-is-skipped",
        module="reconciler/core/sides.py",
        before="    done = side.place + 1\n",
        after="    done = side.place + 2\n",
        story="A service has two preparations, and starts behind the first: its schema is there,"
        " and its data are those of the last version.",
    ),
)

ONCE = (
    Mutant(
        name="a-hook-that-ended-unheard-runs-again",
        module="reconciler/core/sides.py",
        before="if side is None and occasion is not None and _is_of(occasion, process):",
        after="if side is None and occasion and process.is_live and _is_of(occasion, process):",
        story="A backup that runs before each start ends while the daemon is being upgraded, and"
        " is made once more.",
    ),
    Mutant(
        name="what-a-hook-leaves-behind-stays",
        module="reconciler/core/errands.py",
        before="if unwanted or verdict or side.process.exit is not None:",
        after="if unwanted or verdict:",
        story="A hook leaves a child behind, and the slot waits for it for ever.",
    ),
)

TOLD = (
    Mutant(
        name="a-crash-that-left-a-child-is-told-as-a-stop",
        module="reconciler/core/ends.py",
        before="    was_asked = record.memory.asked == run\n",
        after="    was_asked = record.memory.asked == run or record.swept\n",
        story="A postStop hook keeps the core dumps of what crashed, and throws away what it needs"
        " of every service that left a worker behind: it is told of a stop.",
    ),
    Mutant(
        name="a-good-end-has-no-code",
        module="reconciler/core/errands.py",
        before='code = "" if end is None or end.code is None else str(end.code)',
        after='code = "" if end is None or not end.code else str(end.code)',
        story="A hook that publishes the results of a job when its code is 0 publishes nothing.",
    ),
)
