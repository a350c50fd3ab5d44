"""Make of a change that shall last for a while what lies above the manifests meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.overlay import says_the_same
from reconciler.manifest import durations
from reconciler.model.desired import Definition, ManifestSet
from reconciler.model.overlay import Overlay
from reconciler.model.units import SECOND, Nanos, ServiceName, WallTime, seconds
from reconciler.ports import BlockedError, Clock, ConflictError, Draft
from reconciler.runtime.requests import Apply, Change, StopServices, Terms
from reconciler.runtime.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Interlude:
    """What a change makes of services for a while."""

    overlays: tuple[Overlay, ...]
    ended: tuple[ServiceName, ...] = ()
    """Services that are to be as their manifests say."""
    lasts: Nanos = Nanos(0)

    @property
    def span(self) -> str:
        """Say how long it lasts; empty where nothing does."""
        return durations.write(self.lasts) if self.overlays else ""


def lasting(request: Change) -> Nanos:
    """Give how long a change shall last; 0: for good, so it is committed."""
    return seconds(request.lasts) if isinstance(request, Apply | StopServices) else Nanos(0)


def interlude(
    task: Task, draft: Draft, now: ManifestSet, lasts: Nanos, terms: Terms, clock: Clock
) -> Interlude:
    """Give what a change makes of its services. Raises WeaverError where that may not be."""
    commit = now.revision.commit
    if terms.if_revision and not commit.startswith(terms.if_revision):
        raise ConflictError(
            f"cannot apply: {commit[:7]} is followed, not {terms.if_revision[:7]}",
            mend="look at it again: weaver diff -f",
        )
    overlays, ended = [], []
    for name in task.services:
        then, below = draft.manifests.definitions[name], now.definitions.get(name)
        _refuse_what_stays(name, then, below)
        if below is not None and says_the_same(then.spec, below.spec):
            ended.append(name)
            continue
        at = clock.now()
        overlays.append(
            Overlay(
                spec=then.spec,
                ends_at=Nanos(at + lasts),
                ends=WallTime(round(clock.wall() * SECOND) + lasts),
                lasts=lasts,
                actor=f"uid:{terms.author.uid}",
                reason=terms.reason,
            )
        )
    return Interlude(overlays=tuple(overlays), ended=tuple(ended), lasts=lasts)


def _refuse_what_stays(name: ServiceName, then: Definition, below: Definition | None) -> None:
    """Refuse what would not be over with its time, or could not come at all."""
    was = below is not None and bool(below.spec.protect)
    if bool(then.spec.protect) != was:
        raise BlockedError(
            f"cannot apply {name} for a while: protection is no matter of a while",
            mend=f"write `protect: {str(was).lower()}`, or leave out --ephemeral",
        )
    if then.spec.awaits_port:
        raise BlockedError(
            f"cannot apply {name} for a while: its port would have to be written down",
            mend="name a port in place of `auto`",
        )
    if then.left_out:
        raise BlockedError(
            f"cannot apply {name} for a while: this daemon leaves it out",
            mend="it was begun with --only, and the services that it names",
        )
