"""Say of what happens in whose name it does: from somebody's commit until all is as it wants."""

from __future__ import annotations

from dataclasses import replace

from reconciler.model.desired import ManifestSet
from reconciler.model.event import Decision, Happening, Transition
from reconciler.model.observed import State
from reconciler.model.status import Picture
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


class Credit:
    """The last commit that somebody made through Weaver, while what follows from it goes on.

    A service that crashed meanwhile is started again by itself, and whatever is saved later is
    not what was committed: neither is done in anybody's name.
    """

    def __init__(self) -> None:
        self._commit = ""
        self._actor = ""
        self._followed: ManifestSet | None = None
        self._crashed: set[ServiceName] = set()

    @property
    def is_open(self) -> bool:
        """Tell whether there may be something that follows from a commit."""
        return bool(self._actor)

    def give(self, commit: str, actor: str) -> None:
        """Begin with a commit that was just made."""
        self._commit, self._actor = commit, actor
        self._followed = None
        self._crashed.clear()

    def look(self, picture: Picture) -> None:
        """End where all is as the commit wants it."""
        if picture.converged and picture.revision.commit == self._commit:
            self._actor = ""

    def sign(self, decision: Decision, manifests: ManifestSet | None) -> Decision:
        """Put the name under what follows from the commit; `manifests` are those last read."""
        if not self.is_open or not self._is_followed(manifests):
            return decision
        self._crashed |= {
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
        if happening.actor or happening.kind in BY_ITSELF or happening.service in self._crashed:
            return happening
        return replace(happening, actor=self._actor)

    def _sign_transition(self, change: Transition) -> Transition:
        if change.actor or change.slot.service in self._crashed:
            return change
        return replace(change, actor=self._actor)
