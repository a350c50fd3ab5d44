"""What is wanted of a service for a while, whatever its manifest says."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName, WallTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A version that lies above what the manifests say of a service, until its time is over."""

    spec: ServiceSpec
    ends_at: Nanos
    """By the clock of this boot, which nobody can set."""
    ends: WallTime
    """The same moment of the wall clock, which is all that is left of it after a reboot."""
    lasts: Nanos
    """How long was asked for."""
    under: ServiceSpec | None = None
    """What the manifests said when it began; None: nothing, or nothing that was valid."""
    actor: str = ""
    reason: str = ""

    @property
    def name(self) -> ServiceName:
        """Give the name of its service."""
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class LayOver:
    """Somebody wants versions of services for a while; they take the place of earlier ones."""

    overlays: tuple[Overlay, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeAway:
    """Somebody wants services to be again as their manifests say."""

    services: tuple[ServiceName, ...]
    actor: str = ""
    reason: str = ""


OverlayAsked = LayOver | TakeAway
