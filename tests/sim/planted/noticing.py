"""Bugs about what services say of themselves: not heard, heard too late, or heard as more."""

from __future__ import annotations

from tests.sim.planting import Mutant

NOTICES = (
    Mutant(
        name="watchdog-is-not-fed-by-words",
        module="reconciler/core/watchdog.py",
        before="    return max(before.watchdog_at, Nanos(due - now + max(notice.pinged, woke)))",
        after="    return before.watchdog_at",
        story="A service that says it is well every second is aborted all the same, time and"
        " again, and its core dumps fill the disk.",
    ),
    Mutant(
        name="watchdog-without-grace",
        module="reconciler/core/watchdog.py",
        before="    return Nanos(now + timeout + min(timeout // SLACK_PARTS, MOST_SLACK))",
        after="    return Nanos(now + min(timeout // SLACK_PARTS, MOST_SLACK))",
        story="Every watched service is aborted within a second of being ready, before its first"
        " word is due.",
    ),
    Mutant(
        name="watchdog-sleeps-after-adoption",
        module="reconciler/core/looking.py",
        before="        watched = replace(moved, watchdog_at=grace(moved, ledger.now))",
        after="        watched = replace(moved, watchdog_at=None)",
        story="After an upgrade of the daemon nobody watches any more: a service that had hung"
        " before stays hung for ever.",
    ),
    Mutant(
        name="more-time-asked-for-in-vain",
        module="reconciler/core/noticing.py",
        before="        heard = _given_time(heard, notice.extended)",
        after="        heard = _given_time(heard, process.notice.extended)",
        story="A database that replays its journal asks for more time and is stopped in the middle"
        " of it; after each restart it begins anew.",
    ),
    Mutant(
        name="stored-descriptors-dropped-in-back-off",
        module="reconciler/core/doors.py",
        before="    return not (has_no_version or is_stray or wants(ledger, slot))",
        after="    return not (has_no_version or is_stray)",
        story="A server that stores its connections with the host crashes, and before it is started"
        " again they are closed: all of its clients lose theirs.",
    ),
    Mutant(
        name="stored-descriptors-dropped-before-a-yes",
        module="reconciler/core/doors.py",
        before="    spec = wanted.spec if wanted else memory.spec if memory and not memory.leaving"
        " else None",
        after="    spec = wanted.spec if wanted else None",
        story="Somebody deletes half of the manifests by mistake. Nothing stops, as it waits for a"
        " yes, but what crashes meanwhile comes back without its connections.",
    ),
)
