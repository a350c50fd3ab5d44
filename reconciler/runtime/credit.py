"""Say of what happens in whose name it does: from somebody's commit until all is as it wants."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.desired import ManifestSet
from reconciler.model.event import Decision, Happening, Transition
from reconciler.model.observed import State
from reconciler.model.plan import PUT_OFF, HoldCode
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import ServiceName

BY_ITSELF = frozenset(
    {
        "service.crashed",
        "service.gave-up",
        "service.unknown",
        "service.adopted",
    }
)
"""What nobody asks for."""

_BY_THEMSELVES = (
    HoldCode.BACKING_OFF,
    HoldCode.GAVE_UP,
    *PUT_OFF,
    HoldCode.SCHEDULED,
)
"""Services that are held for one of these begin again by themselves, or not at all."""


class Credit:
    """The last commit that somebody made through Weaver, while what follows from it goes on.

    Of each service that ends once it is as the commit wants it. One that crashed meanwhile is
    started again by itself, and whatever is saved later is not what was committed: neither is
    done in anybody's name.
    """

    def __init__(self) -> None:
        self._commit = ""
        self._actor = ""
        self._followed: ManifestSet | None = None
        self._done: set[ServiceName] = set()

    @property
    def is_open(self) -> bool:
        """Tell whether there may be something that follows from a commit."""
        return bool(self._actor)

    def give(self, commit: str, actor: str) -> None:
        """Begin with a commit that was just made."""
        self._commit, self._actor = commit, actor
        self._followed = None
        self._done.clear()

    def look(self, picture: Picture) -> None:
        """End where all is as the commit wants it, and of each service that is."""
        if picture.revision.commit != self._commit:
            return
        if picture.converged:
            self._actor = ""
        for name, status in picture.services.items():  # needs come before their dependents
            if self._done.issuperset(status.needs) and _is_done(status):
                self._done.add(name)

    def sign(self, decision: Decision, manifests: ManifestSet | None) -> Decision:
        """Put the name under what follows from the commit; `manifests` are those last read."""
        if not self.is_open or not self._is_followed(manifests):
            return decision
        self._done |= {
            change.slot.service for change in decision.transitions if change.after is State.CRASHED
        }
        return replace(
            decision,
            happenings=tuple(map(self._sign_happening, decision.happenings)),
            transitions=tuple(map(self._sign_transition, decision.transitions)),
        )

    def _is_followed(self, manifests: ManifestSet | None) -> bool:
        """Tell whether the manifests are those of the commit; end where they were changed since."""
        if manifests is None or manifests.revision.commit != self._commit:
            return False
        if self._followed is None:
            self._followed = manifests
        elif manifests is not self._followed and manifests != self._followed:
            self._actor = ""
        return self.is_open

    def _sign_happening(self, happening: Happening) -> Happening:
        if happening.actor or happening.kind in BY_ITSELF or happening.service in self._done:
            return happening
        return replace(happening, actor=self._actor)

    def _sign_transition(self, change: Transition) -> Transition:
        if change.actor or change.slot.service in self._done:
            return change
        return replace(change, actor=self._actor)


def _is_done(status: ServiceStatus) -> bool:
    """Tell whether nothing more of this service follows from a commit."""
    is_at_rest = status.state not in (State.STARTING, State.STOPPING)
    return (status.is_followed and is_at_rest) or status.reason_code in _BY_THEMSELVES
