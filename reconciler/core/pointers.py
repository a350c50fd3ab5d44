"""How far each service has come along the history of its manifests.

A repository is fetched and verified as a whole. A service of it is attempted at a revision, applied
once what runs is what that revision says, and healthy once that is well, too. None of the three
moves for a try that failed. They are worked out anew from what happened, whenever somebody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.model.observed import State
from reconciler.model.status import Health, ServiceStatus, Sync
from reconciler.model.stored import TransitionRecord

WELL = (Health.HEALTHY, Health.STOPPED)
"""Stopped is what is wanted: what should run and does not is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointers:
    """Revisions, each the newest of which something is so; empty where none is known."""

    attempted: str = ""
    """Its version was started, or put into force without a new process."""
    applied: str = ""
    """Its version is what runs."""
    healthy: str = ""
    """Its version was ready and well."""


def pointers(service: ServiceStatus, head: str, history: Sequence[TransitionRecord]) -> Pointers:
    """Tell how far a service has come.

    `head` is the commit that is followed. `history` are the service's changes of state, the newest
    first; what is older than it is not known.

    What does not run by the head has the revision at which its version began to run: later ones
    may say something else, earlier ones did.
    """
    known = [found for found in history if found.revision and found.digest]
    ours = service.spec.digest if service.spec is not None and not service.invalid else ""
    if service.sync is Sync.SYNCED:
        is_well = service.health in WELL
        healthy = head if is_well else _last_well(known, ours)
        return Pointers(attempted=head, applied=head, healthy=healthy)
    applied = _beginning(known, _newest(known, but=ours), ours)
    return Pointers(
        attempted=head if _was_tried(known, ours) else applied,
        applied=applied,
        healthy=applied,
    )


def _last_well(known: Sequence[TransitionRecord], ours: str) -> str:
    """Give the newest revision whose version was well, for one that is not."""
    digest = _newest(known)
    if digest != ours:
        return _beginning(known, digest, ours)
    return next(found.revision for found in known if found.after == State.RUNNING)


def _newest(known: Sequence[TransitionRecord], but: str = "") -> str:
    """Give the version that was well last; empty where none was."""
    well = (found.digest for found in known if found.after == State.RUNNING)
    return next((digest for digest in well if digest != but), "")


def _was_tried(known: Sequence[TransitionRecord], digest: str) -> bool:
    return any(found.digest == digest and found.after == State.STARTING for found in known)


def _beginning(known: Sequence[TransitionRecord], digest: str, ours: str) -> str:
    """Give the revision at which a version began to run when it last did so.

    In a rollout it takes turns with `ours`, the version that is wanted.
    """
    begun = ""
    for found in known:
        if found.digest == digest:
            begun = found.revision
        elif begun and found.digest != ours and found.after == State.RUNNING:
            break
    return begun
