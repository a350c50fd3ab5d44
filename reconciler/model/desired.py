"""What should run: the manifests of one revision, as read and as settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.overlay import Overlay
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Where manifests came from: a commit, and the saved files that differ from it."""

    commit: str = ""
    """40 or 64 hex digits; empty before the first commit."""
    branch: str = ""
    """Empty on a detached HEAD."""
    dirty: tuple[str, ...] = ()
    """Manifest paths whose saved text is not that of the commit."""

    @property
    def is_dirty(self) -> bool:
        """Tell whether uncommitted changes are part of what was read."""
        return bool(self.dirty)


def why_stopped(*, left_out: bool) -> str:
    """Say why no processes of a service are asked for."""
    return "left out by --only" if left_out else "its manifest says stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One valid service and the place that defines it."""

    spec: ServiceSpec
    source: Source
    left_out: bool = False
    """Whether it counts as stopped because the daemon runs others only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestSet:
    """All manifests of one revision, as read: what is valid, what is not, and why."""

    revision: Revision = field(default_factory=Revision)
    definitions: Mapping[ServiceName, Definition] = field(default_factory=dict)
    invalid: Mapping[ServiceName, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """Names that a readable file defines wrongly: schema, duplicate, cycle, unknown need."""
    broken_files: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """Files that could not be read as manifests; what they last defined is frozen."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Everything found, in order of place; warnings included."""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One service of the settled desired state."""

    spec: ServiceSpec | None
    """The spec to run: the manifest's, or the last good one. None: it never had a good one."""
    source: Source
    invalid: tuple[Diagnostic, ...] = ()
    """Why today's manifest cannot be used; empty when it can."""
    left_out: bool = False
    """Whether it is stopped because the daemon runs others only."""
    overlay: Overlay | None = None
    """What lies above its manifest for a while, which is where the spec is from then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What should run now, settled against what was wanted before."""

    revision: Revision = field(default_factory=Revision)
    services: Mapping[ServiceName, Wanted] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    broken_files: tuple[str, ...] = ()
    """Files that could not be read as manifests: nobody knows what they define."""
