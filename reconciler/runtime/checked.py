"""What is known of how slots are, as people and scrapers are shown it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.health import CheckFault, CheckResult, HealthCheck, Verdict
from reconciler.model.observed import Slot
from reconciler.model.units import Nanos, RunId
from reconciler.runtime.tallies import Tallies

HISTORY_LIMIT = 20
"""Checks that are kept for each slot, the newest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check that was made."""

    at: Nanos
    """When it was over."""
    took: Nanos
    late: Nanos
    """From when it was due until it began."""
    ok: bool
    verdict: Verdict
    """What the checks up to this one come to."""
    detail: str
    fault: CheckFault | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotHealth:
    """What is known of how one run of a slot is."""

    slot: Slot
    run: RunId
    health: HealthCheck
    due: Nanos
    """When it is checked next, or the check under way was due."""
    verdict: Verdict = Verdict.UNKNOWN
    failures: int = 0
    """Checks in a row that failed."""
    successes: int = 0
    """Checks in a row that passed."""
    last: CheckResult | None = None
    history: tuple[Checked, ...] = ()
    """Newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """What is known of how all slots are."""

    slots: Mapping[Slot, SlotHealth] = field(default_factory=dict)
    """Of each that is checked now."""
    tallies: Tallies = field(default_factory=Tallies)
