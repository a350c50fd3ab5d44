"""The few Protocols through which the outside world is touched.

Adapters implement them, `app.py` chooses the adapters, and the runtime knows nothing else. A port
never raises for what the world does: a failure is an event, a value, or a `WeaverError` where the
caller is a person.
"""

from __future__ import annotations

from reconciler.model.errors import (
    BlockedError,
    ConflictError,
    ForbiddenError,
    HostError,
    ManifestError,
    NotFoundError,
    SourceHeldError,
    StoreError,
    WeaverError,
)
from reconciler.model.stored import EventRecord, TransitionRecord
from reconciler.ports.logs import Logs
from reconciler.ports.record import Pending, Store
from reconciler.ports.source import (
    Author,
    CommitPart,
    CommitRequest,
    Committed,
    Draft,
    Drafts,
    LogEntry,
    Manifests,
    Repository,
)
from reconciler.ports.world import (
    Check,
    Checker,
    Clock,
    Host,
    Prober,
    Sampler,
    Timetable,
    Usage,
)

__all__ = [
    "Author",
    "BlockedError",
    "Check",
    "Checker",
    "Clock",
    "CommitPart",
    "CommitRequest",
    "Committed",
    "ConflictError",
    "Draft",
    "Drafts",
    "EventRecord",
    "ForbiddenError",
    "Host",
    "HostError",
    "LogEntry",
    "Logs",
    "ManifestError",
    "Manifests",
    "NotFoundError",
    "Pending",
    "Prober",
    "Repository",
    "Sampler",
    "SourceHeldError",
    "Store",
    "StoreError",
    "Timetable",
    "TransitionRecord",
    "Usage",
    "WeaverError",
]
