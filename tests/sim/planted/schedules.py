"""Bugs of schedules: runs too many, runs too few, and runs in each other's way."""

from __future__ import annotations

from tests.sim.planting import Mutant

SCHEDULE = (
    Mutant(
        name="a-time-is-not-over-once-it-was-served",
        module="reconciler/core/timing.py",
        before="if timing.since != event.since or not is_of_today:",
        after="if timing.since is None or not is_of_today:",
        story="How far a schedule was followed is written down once and then never again: after"
        " half a minute the run of three o'clock begins a second time.",
    ),
    Mutant(
        name="a-run-that-was-owed-stays-so",
        module="reconciler/core/tidying.py",
        before="timing = replace(timing, owed=None, last=timing.owed)",
        after="timing = replace(timing, last=timing.owed)",
        story="A run that has begun still counts as waiting, so that it begins once more as soon"
        " as it has ended, and again after that.",
    ),
    Mutant(
        name="a-run-is-in-the-way-of-the-last-one",
        module="reconciler/core/timing.py",
        before="if timing.owed is not None or _is_busy(ledger, spec.name):",
        after="if timing.owed is not None:",
        story="A backup takes longer than usual. At its next time it is killed and begun anew, and"
        " never comes to its end again.",
    ),
    Mutant(
        name="what-comes-into-force-runs-at-once",
        module="reconciler/core/wishes.py",
        before="return spec.schedule is not None and is_served and",
        after="return is_done(record, spec, restart_before) and",
        story="The nightly clean-up runs the moment its manifest is saved, and once more after"
        " every boot of the host.",
    ),
)
