"""Follow the manifests: read them whenever they may have changed, and say what was read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from reconciler.model.desired import ManifestSet
from reconciler.model.event import Event, ManifestsHeld, ManifestsRead
from reconciler.ports import Manifests, WeaverError

log = logging.getLogger(__name__)

HELD_LOOK_S = 0.5
"""Between looks while git is at work in the checkout; it is never long about it."""
HELD_LOOK_MAX_S = 5.0


class Source:
    """The one reader of manifests."""

    def __init__(self, manifests: Manifests, tell: Callable[[Event], None]) -> None:
        self._manifests = manifests
        self._tell = tell
        self._asked = asyncio.Event()
        self._begun = 0
        self._done = 0
        self._turn = asyncio.Condition()
        self.last: ManifestSet | None = None
        """What was read last; kept for the manifests' texts and faults."""
        self.held = ""
        """Why the manifests cannot be trusted just now, or are not the newest; else empty."""
        self._is_unread = False
        self._pause_s = HELD_LOOK_S

    async def run(self) -> None:
        """Read now, and again with every change; the end of the task is the end of reading."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._heed_changes())
            self._asked.set()
            while True:
                await self._wait()
                await self._read()

    async def refresh(self) -> None:
        """Return once a read that began after this call has been told."""
        async with self._turn:
            wanted = self._begun + 1
            self._asked.set()
            await self._turn.wait_for(lambda: self._done >= wanted)

    async def follow_branch(self) -> bool:
        """Read again where the branch has moved, which the watch may not have told; tell if so."""
        if self.last is None or self.held:
            return False
        has_moved = await self._manifests.has_moved(self.last.revision)
        if has_moved:
            await self.refresh()
        return has_moved

    async def _heed_changes(self) -> None:
        async for _ in self._manifests.changes():
            self._asked.set()

    async def _wait(self) -> None:
        """Wait until a change is told; while reading is held, look again by the clock."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s if self._is_unread else None):
                await self._asked.wait()

    async def _read(self) -> None:
        self._asked.clear()
        async with self._turn:
            self._begun += 1
        await self._read_once()
        async with self._turn:
            self._done = self._begun
            self._turn.notify_all()

    async def _read_once(self) -> None:
        try:
            found = await self._manifests.read()
        except WeaverError as why:
            self._hold(str(why))
        except Exception as why:
            log.exception("cannot read the manifests")
            self._hold(f"cannot read the manifests: {type(why).__name__}: {why}")
        else:
            self._take(found, self._manifests.behind)

    def _take(self, found: ManifestSet, behind: str) -> None:
        """Tell what was read; what is behind its branch counts, and is not called in sync."""
        if found != self.last or self.held != behind:
            self._tell(ManifestsRead(manifests=found))
            if behind:
                self._tell(ManifestsHeld(because=behind))
        self.last, self.held, self._is_unread, self._pause_s = found, behind, False, HELD_LOOK_S

    def _hold(self, because: str) -> None:
        if because != self.held:
            self._tell(ManifestsHeld(because=because))
        self._is_unread = True
        self._pause_s = min(2 * self._pause_s, HELD_LOOK_MAX_S) if self.held else HELD_LOOK_S
        self.held = because
