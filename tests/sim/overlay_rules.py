"""What must hold of what is wanted for a while: it is drift, it ends by itself, no death loses it.

Stated against what the daemon was told, what it tells and shows, and what its record gives back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model.event import Decision, Happening
from reconciler.model.overlay import Overlay
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Picture, Sync
from reconciler.model.units import Nanos, ServiceName, WallTime

A_FLOAT_OFF = 1000
"""Nanoseconds: the wall clock comes as seconds in a float, which is exact to a quarter of that."""


class OverlayRules:
    """What lies above the manifests, as the present daemon was told."""

    def __init__(self) -> None:
        self.above: dict[ServiceName, Overlay] = {}
        """In the order in which they began."""
        self.over: dict[ServiceName, Overlay] = {}
        """What is over, until it is seen that nothing of it is left in force."""
        self._written: dict[ServiceName, Overlay] | None = None
        """What lay above them when the record was written last; None: that is another's."""
        self._recalled: Iterable[Overlay] | None = None
        """What the record gave back, before the first step of this daemon."""
        self._is_of_another_boot = False
        self._to_tell: Counter[tuple[str, ServiceName]] = Counter()

    def begin(self, overlays: Iterable[Overlay]) -> None:
        """Begin a daemon's life with what is on record."""
        self.above, self.over = {one.name: one for one in overlays}, {}
        self._recalled = tuple(overlays)
        self._to_tell.clear()

    def reboot(self) -> None:
        """Note that the clock of the boot begins anew: what is written is by another one."""
        self._is_of_another_boot = True

    def forget(self) -> None:
        """Take another record for the one that was written."""
        self._written = None

    def before(self, now: Nanos, wall: WallTime) -> None:
        """See, in a daemon's first step, that it was given back what was written down."""
        recalled, self._recalled = self._recalled, None
        if recalled is None:
            return
        known = self._written
        if known is None:
            return
        found = {one.name: one for one in recalled}
        assert found.keys() == known.keys(), "what is wanted for a while died with its daemon"
        for name, one in found.items():
            then = known[name]
            is_it = replace(one, ends_at=then.ends_at, under=then.under) == then
            is_it = is_it and is_like(one.under, then.under)
            assert is_it, f"{name}: something else is wanted for a while than before"
            if not self._is_of_another_boot:
                assert one.ends_at == then.ends_at, f"{name}: its while has another end"
                continue
            left = one.ends_at - now
            assert left <= one.lasts, f"{name}: its while is longer than was asked for"
            is_right = abs(left - min(then.ends - wall, one.lasts)) < A_FLOAT_OFF
            assert is_right, f"{name}: its while does not end when it was to"

    def lay(self, one: Overlay) -> None:
        """Take in what somebody wants for a while; it becomes the newest."""
        self.above.pop(one.name, None)
        self.above[one.name] = one
        self._to_tell["drift.begun", one.name] += 1

    def end(self, name: ServiceName) -> Overlay:
        """Note that something is over."""
        one = self.over[name] = self.above.pop(name)
        self._to_tell["drift.ended", name] += 1
        return one

    def due(self, now: Nanos) -> list[ServiceName]:
        """Give those whose time is over."""
        return [name for name, one in self.above.items() if one.ends_at <= now]

    def after(self, decision: Decision, *, is_told: bool) -> None:
        """Look at what a daemon tells, and when it will wake."""
        self._tells(decision.happenings)
        if is_told and not decision.finished:
            self._wakes(decision)

    def _tells(self, happenings: Iterable[Happening]) -> None:
        """See that each beginning and each end is told, once."""
        told = Counter(
            (one.kind, one.service)
            for one in happenings
            if one.service is not None and one.data.get("cause") == "ephemeral"
        )
        to_tell, self._to_tell = self._to_tell, Counter()
        for kind, name in to_tell - told:
            raise AssertionError(f"{name}: {kind} is not told")
        for kind, name in told - to_tell:
            raise AssertionError(f"{name}: {kind} is told of nothing")

    def has_come_back(
        self,
        in_force: Mapping[ServiceName, ServiceSpec],
        meant: Mapping[ServiceName, ServiceSpec | None],
    ) -> None:
        """See that nothing is in force of what was for a while and is over."""
        for name, one in self.over.items():
            spec, wanted = in_force.get(name), meant.get(name)
            is_meant = wanted is not None and wanted.digest == one.spec.digest
            if name in self.above or name not in meant or is_meant:
                continue
            is_back = spec is None or spec.digest != one.spec.digest
            assert is_back, f"{name}: what is over stays in force"
        self.over.clear()

    def _wakes(self, decision: Decision) -> None:
        """See that the daemon will wake when something is over."""
        for name, one in self.above.items():
            will = decision.wake_at is not None and decision.wake_at <= one.ends_at
            assert will, f"{name}: the end of its while is slept through"

    def recorded(self) -> None:
        """Note what lies above the manifests as the record is written."""
        self._written, self._is_of_another_boot = dict(self.above), False

    def shown(self, picture: Picture) -> None:
        """See that what is wanted for a while is shown as drift, and nothing else is."""
        for name, status in picture.services.items():
            one, shown = self.above.get(name), status.overlay
            if one is None:
                assert shown is None, f"{name} is shown as wanted for a while, which is over"
                continue
            assert shown is not None, f"{name} is not shown as wanted for a while"
            assert shown.ends_at == one.ends_at, f"{name} is shown to end at another time"
            assert status.sync is not Sync.SYNCED, f"{name} is no drift, says status"
        missing = self.above.keys() - picture.services.keys()
        assert not missing, f"{sorted(missing)} are wanted for a while, and not shown"


def is_like(now: ServiceSpec | None, then: ServiceSpec | None) -> bool:
    """Tell whether manifests say the same, whatever the files hold that a service loads."""
    if now is None or then is None:
        return now is then
    return replace(now, loads={}, protect=None) == replace(then, loads={}, protect=None)
