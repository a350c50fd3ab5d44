"""Ask the history whether one more commit that nobody asked for may be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from reconciler.core.unasked import Made, Wish, why_held
from reconciler.manifest.naming import FOLDER
from reconciler.model.units import ServiceName
from reconciler.ports import BlockedError, LogEntry

SOURCE = "daemon"
"""What a commit that nobody asked for says of its source."""
SEARCHED = 500
"""Commits that are looked through, the newest."""


class Past(Protocol):
    """The history, as far as this needs it."""

    async def log(self, path: str, limit: int) -> Sequence[LogEntry]:
        """Give the commits that touched a file or folder, newest first."""
        ...


class Restraint:
    """Holds back what would be too much, or a quarrel with somebody else."""

    def __init__(self, past: Past, wall: Callable[[], float]) -> None:
        self._past = past
        self._wall = wall

    async def refuse_loop(
        self, service: ServiceName, *, restores: str = "", against: str = ""
    ) -> None:
        """Refuse a commit that nobody asked for. Raises BlockedError where it has to wait."""
        past = [_made(entry) for entry in await self._past.log(FOLDER, SEARCHED) if _is_own(entry)]
        wish = Wish(service=service, at=self._wall(), restores=restores, against=against)
        if why := why_held(wish, past):
            raise BlockedError(why, mend=f"see weaver history {service}, and change it yourself")


def _is_own(entry: LogEntry) -> bool:
    return entry.trailers.get("Weaver-Source") == SOURCE


def _made(entry: LogEntry) -> Made:
    named = entry.trailers.get("Weaver-Services", "").split(",")
    services = frozenset(name.strip() for name in named)
    return Made(commit=entry.commit, at=entry.at, services=services)
