"""Guard against mass removal: one change never takes away more than somebody meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from reconciler.core.luck import fingerprint
from reconciler.model.record import PruneHold
from reconciler.model.units import ServiceName

MAY_GO_UNASKED = 3
MAY_GO_SHARE = 5
"""A fifth of the services."""


def guard(
    owned: Collection[ServiceName],
    wanted: Collection[ServiceName],
    released: Collection[ServiceName],
    before: PruneHold | None,
) -> PruneHold | None:
    """Give the hold on a removal that is too large, or None.

    More than max(3, 20 %) of the owned services, or all of them, wait for a yes. `released` were
    removed by name, which is a yes. An approved hold stays until what it names is gone; it is no
    yes to anything else.

    >>> guard(["a", "b"], ["a"], [], None) is None
    True
    >>> guard(["a", "b"], [], [], None).because
    'all 2 services would be removed'
    """
    removed = set(owned).difference(wanted, released)
    agreed = removed.intersection(before.services) if before and before.approved else set()
    asked = tuple(sorted(removed - agreed))
    limit = max(MAY_GO_UNASKED, len(owned) // MAY_GO_SHARE)
    if not asked or (len(asked) < len(owned) and len(asked) <= limit):
        return before if agreed else None
    if before is not None and before.services == asked:
        return before
    return PruneHold(id=_id_of(asked), services=asked, because=_words(asked, len(owned)))


def _id_of(removed: Iterable[ServiceName]) -> str:
    """Name a removal after what it removes, so that a yes fits nothing else."""
    return f"{fingerprint(' '.join(removed)) >> 40:06x}"


def _words(removed: tuple[ServiceName, ...], owned: int) -> str:
    if len(removed) == owned:
        return (
            f"all {owned} services would be removed"
            if owned > 1
            else "the only service would be removed"
        )
    return f"{len(removed)} of {owned} services would be removed"
