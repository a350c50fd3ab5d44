"""Bugs of memory: the wrong process replaced, and waiting for memory taken for failing."""

from __future__ import annotations

from tests.sim.planting import Mutant

APPETITE = (
    Mutant(
        name="a-measure-of-the-last-process-counts-for-the-next",
        module="reconciler/core/limits.py",
        before="if process.run != event.run:",
        after="if not process.run:",
        story="A process that used too much was replaced, but its last measurement came after"
        " that: the fresh one is replaced as well, for what it never used.",
    ),
    Mutant(
        name="alert-replaces",
        module="reconciler/core/limits.py",
        before="is_outgrown = bool(too_much) and spec.memory_action is MemoryAction.RESTART",
        after="is_outgrown = bool(too_much)",
        story="Somebody only wants to hear of it when the database uses more than 2G, and the"
        " database is restarted in the middle of the day.",
    ),
    Mutant(
        name="no-memory-is-a-failure",
        module="reconciler/core/answers.py",
        before="        _wait_for_memory(ledger, record, event.because)\n        return\n",
        after='        start_failed(ledger, record, event.because, result="", data={})\n'
        "        return\n",
        story="While the host is short of memory for some minutes, a service that only had to wait"
        " uses up its restarts and is given up.",
    ),
    Mutant(
        name="too-much-is-told-each-time",
        module="reconciler/core/limits.py",
        before="if bool(over) == bool(record.over):",
        after="if not over and not record.over:",
        story="A service uses a little more than it should, and every few seconds an event, an"
        " e-mail and a pager say so.",
    ),
)
