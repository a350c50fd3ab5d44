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
    leaving: Collection[ServiceName],
    before: PruneHold | None,
) -> PruneHold | None:
    """Give the hold on a removal that is too large, or None.

    One change may take away three of the services we own, or a fifth of them if that is more, but
    never the last: anything larger waits for a yes. What is `leaving`, because it was let go
    before or is removed by name, counts neither as removed nor as owned, however long its end
    takes. What comes with a change counts as owned.

    While a removal waits, whatever else is removed waits with it; and putting some of it back
    lets nothing go. It waits until somebody agrees, or until all of it is wanted again. A hold
    that was agreed to is kept until what it names is gone; it is no yes to anything else.

    >>> guard(["a", "b"], ["a"], [], None) is None
    True
    >>> guard(["a", "b"], [], [], None).because
    'all 2 services would be removed'
    >>> guard(["a", "b"], [], ["a"], None).because
    'the only service would be removed'
    """
    gone = set(owned).difference(wanted)
    asked = tuple(sorted(gone.difference(leaving)))
    count = len(owned) - len(gone) + len(asked)
    is_large = len(asked) == count or len(asked) > max(MAY_GO_UNASKED, count // MAY_GO_SHARE)
    waiting = before.services if before is not None and not before.approved else ()
    if asked and (is_large or not set(asked).isdisjoint(waiting)):
        if before is not None and before.services == asked:
            return before
        rest = "" if is_large else ", the rest of a larger removal"
        because = _words(len(asked), count) + rest
        return PruneHold(id=_id_of(asked), services=asked, because=because)
    if before is None or not before.approved or gone.isdisjoint(before.services):
        return None
    return before


def _id_of(removed: Iterable[ServiceName]) -> str:
    """Name a removal after what it removes, so that a yes fits nothing else."""
    return f"{fingerprint(' '.join(removed)) >> 40:06x}"


def _words(removed: int, owned: int) -> str:
    if removed < owned:
        return f"{removed} of {owned} services would be removed"
    who = f"all {owned} services" if owned > 1 else "the only service"
    return f"{who} would be removed"
