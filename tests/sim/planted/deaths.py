"""Bugs about a holder that is gone: what the daemon sees for itself then is all there is."""

from __future__ import annotations

from tests.sim.planting import Mutant

DEATHS = (
    Mutant(
        name="nobody-ends-while-the-holder-is-gone",
        module="reconciler/core/ends.py",
        before="    if process.exit is None:\n        _end(ledger, found_again",
        after="    if process.exit is None and ledger.host_seen:\n        _end(ledger, found_again",
        story="The holder is killed, and no other can be started: the disk is full. What the"
        " daemon sees end meanwhile is shown as running for as long as that lasts.",
    ),
    Mutant(
        name="a-code-seen-without-the-holder-is-not-believed",
        module="reconciler/core/ends.py",
        before="last_exit=end, exited=process.run)",
        after="exited=process.run, last_exit=end if ledger.host_seen else Exit(at=end.at,"
        " unknown=True))",
        story="Holder and service are killed by the same shortage of memory. The daemon saw by"
        " what, and puts on record that nobody knows.",
    ),
)
