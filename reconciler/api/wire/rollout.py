"""The rollout document: how far new versions have come."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.api.wire.base import Document, Wire
from reconciler.model.status import ServiceStatus


class RolloutKeys(Wire, frozen=True, kw_only=True):
    """A new version, or a restart, on its way through the instances of a service."""

    service: str
    phase: str
    """`rolling`, `paused`, `back` (going back to the version before) or `undone` (is back)."""
    failed: bool
    """Whether the new version failed, or somebody took it back."""
    reason: str
    version: str
    """The digest of the version that comes; `specDigest` of the status once it is there."""
    base: str
    """The digest of the one before; the same for a restart."""
    instances: int
    surge: int
    """Instances above these, for as long as it lasts."""
    rolled: list[str]
    """Instances that have the new version, or get it now."""
    proven: list[str]
    """Those that were ready for `minReady`."""
    quarantined: list[str]
    """Digests of versions that failed, and are not tried again by themselves."""


class RolloutDocument(Document, frozen=True, kw_only=True):
    """Rollouts that are not over."""

    rollouts: list[RolloutKeys]


def rollout_document(services: Sequence[ServiceStatus]) -> RolloutDocument:
    """Write the rollouts of the chosen services."""
    return RolloutDocument(exit_code=0, rollouts=[*filter(None, map(rollout_keys, services))])


def rollout_keys(service: ServiceStatus) -> RolloutKeys | None:
    """Write the rollout of a service; None where there is none."""
    rollout = service.rollout
    if rollout is None:
        return None
    return RolloutKeys(
        service=service.name,
        phase=rollout.phase,
        failed=rollout.failed,
        reason=rollout.because,
        version=rollout.to.digest,
        base=rollout.base.digest,
        instances=rollout.to.instances,
        surge=rollout.surge,
        rolled=[f"{service.name}-{index}" for index in rollout.rolled],
        proven=[f"{service.name}-{index}" for index in rollout.proven],
        quarantined=[*service.quarantined],
    )
