"""How a new version comes into the slots of a service that has several, or sockets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.model.units import Nanos, seconds


class UpdateOrder(StrEnum):
    """What comes first where a process takes the place of another."""

    START_FIRST = "start-first"
    STOP_FIRST = "stop-first"


class OnFailure(StrEnum):
    """What becomes of a rollout whose new version does not serve."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """How a new version comes into the slots of a service that has several, or sockets."""

    order: UpdateOrder = UpdateOrder.START_FIRST
    max_unavailable: int | None = None
    """Slots that may be without service because of it; None: none, or 1 where a stop comes first.
    """
    max_surge: int = 1
    """Slots above `instances` that it may use, where a start comes first."""
    min_ready: Nanos = seconds(2)
    """How long a new process has to be ready before another is touched."""
    on_failure: OnFailure = OnFailure.PAUSE
    revert: bool = False
    """Whether a version that was taken back is taken out of the manifest too, by a commit."""

    @property
    def unavailable(self) -> int:
        """Give how many slots may be without service because of it."""
        if self.max_unavailable is not None:
            return self.max_unavailable
        return 0 if self.surge else 1

    @property
    def surge(self) -> int:
        """Give how many slots above `instances` it may use."""
        return self.max_surge if self.order is UpdateOrder.START_FIRST else 0
