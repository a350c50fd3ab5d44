"""Guard against mass removal: one change never takes away more than somebody meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.luck import fingerprint
from reconciler.model.record import PruneHold, ServiceMemory
from reconciler.model.units import Nanos, ServiceName, minutes

MAY_GO_UNASKED = 3
MAY_GO_SHARE = 5
"""A fifth of the services."""
SUMMED_FOR = minutes(10)
"""Small removals that follow each other within this time are one removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What makes a removal wait, besides its size."""

    protected: Collection[ServiceName] = ()
    doubts: Mapping[ServiceName, str] = field(default_factory=dict)
    """Services that may be defined in a file that is broken, with that file."""
    lately: Collection[ServiceName] = ()
    """What went unasked a short time ago."""


PLAIN = Grounds()


def guard(
    owned: Collection[ServiceName],
    wanted: Collection[ServiceName],
    leaving: Collection[ServiceName],
    before: PruneHold | None,
    grounds: Grounds = PLAIN,
) -> PruneHold | None:
    """Give the hold on a removal that is too large, or None.

    One change may take away three of the services we own, or a fifth of them if that is more, but
    never the last, and none that is protected: anything else waits for a yes. What is `leaving`,
    because it was let go before or is removed by name, counts neither as removed nor as owned,
    however long its end takes. What comes with a change counts as owned. What went unasked lately
    and did not come back counts as removed by this change: many small ones are a large one.

    What was defined beside a file that is broken now may be defined in there, so that its removal
    waits as well, until the file is mended or somebody agrees.

    While a removal waits, whatever else is removed waits with it; and putting some of it back
    lets nothing go. It waits until somebody agrees, or until all of it is wanted again. A hold
    that was agreed to is kept until what it names is gone; it is no yes to anything else.

    >>> guard(["a", "b"], ["a"], [], None) is None
    True
    >>> guard(["a", "b"], [], [], None).because
    'all 2 services would be removed'
    >>> guard(["a", "b"], [], ["a"], None).because
    'the only service would be removed'
    >>> guard(["a", "b"], ["a"], [], None, grounds=Grounds(protected=["b"])).because
    'b is protected'
    """
    gone = set(owned).difference(wanted)
    asked = tuple(sorted(gone.difference(leaving)))
    count = len(owned) - len(gone) + len(asked)
    earlier = len(set(grounds.lately).difference(wanted))
    may_go = max(MAY_GO_UNASKED, (count + earlier) // MAY_GO_SHARE)
    is_large = len(asked) == count or len(asked) + earlier > may_go
    holds = before is not None and not (before.approved or before.passes)
    waiting = before.services if before is not None and holds else ()
    guarded = [name for name in asked if name in grounds.protected]
    if asked and (is_large or guarded or not set(asked).isdisjoint(waiting)):
        if before is not None and before.services == asked and not before.passes:
            return before
        is_sum = len(asked) < count and len(asked) <= may_go
        after = f", after {earlier} in the 10 min before" if is_sum else ""
        size = f"{_words(len(asked), count)}{after}" if is_large else ""
        rest = (
            "" if size or guarded else f"{_words(len(asked), count)}, the rest of a larger removal"
        )
        because = ", and ".join(filter(None, (size, rest, _protected(guarded))))
        return PruneHold(id=_id_of(asked), services=asked, because=because)
    if doubtful := [name for name in asked if name in grounds.doubts]:
        file = grounds.doubts[doubtful[0]]
        because = f"{doubtful[0]} may be defined in {file}, which is invalid"
        return PruneHold(id=_id_of(asked), services=asked, because=because, passes=True)
    if before is None or not before.approved or gone.isdisjoint(before.services):
        return None
    return before


def shielded(services: Mapping[ServiceName, ServiceMemory]) -> set[ServiceName]:
    """Give the services that are protected as they are in force, whatever manifests say now."""
    return {name for name, memory in services.items() if memory.spec.protect}


def lately(removed: Mapping[ServiceName, Nanos], now: Nanos) -> dict[ServiceName, Nanos]:
    """Give what went so short a time ago that it counts with the next removal.

    >>> lately({"a": minutes(1), "b": minutes(3)}, now=minutes(11))
    {'b': 180000000000}
    """
    return {name: at for name, at in removed.items() if now - at < SUMMED_FOR}


def beside(
    broken: Iterable[str], services: Mapping[ServiceName, ServiceMemory]
) -> dict[ServiceName, str]:
    """Give the services that were defined in the folder of a broken file, with that file."""
    folders = {path.rpartition("/")[0]: path for path in broken}
    where = {name: memory.source.file.rpartition("/")[0] for name, memory in services.items()}
    return {name: folders[folder] for name, folder in where.items() if folder in folders}


def _id_of(removed: Iterable[ServiceName]) -> str:
    """Name a removal after what it removes, so that a yes fits nothing else."""
    return f"{fingerprint(' '.join(removed)) >> 40:06x}"


def _protected(names: Sequence[ServiceName]) -> str:
    if len(names) < 2:
        return "".join(f"{name} is protected" for name in names)
    return f"{', '.join(names[:3])}{' and others' if names[3:] else ''} are protected"


def _words(removed: int, owned: int) -> str:
    if removed < owned:
        return f"{removed} of {owned} services would be removed"
    who = f"all {owned} services" if owned > 1 else "the only service"
    return f"{who} would be removed"
