"""Look after the state directory while the daemon lives: what is deleted is made again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from reconciler.failpoints import failpoint
from reconciler.ports import WeaverError
from reconciler.runtime.home import Home

log = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0


class Caretaker:
    """Looks now and then, and at once when told that something may be gone."""

    def __init__(self, home: Home, reopen: Callable[[], Awaitable[None]]) -> None:
        self._home = home
        self._reopen = reopen
        self._hint = asyncio.Event()
        self.trouble = ""
        """Why the directory is not as it should be; empty while it is."""

    def hint(self) -> None:
        """Look soon."""
        self._hint.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._hint.wait()
            except TimeoutError:
                pass
            self._hint.clear()
            await self._look()

    async def _look(self) -> None:
        try:
            is_restored = self._home.restore()
            if is_restored or not self._home.paths.socket.exists():
                log.warning("the state directory was deleted; it is made again")
                failpoint("daemon.mend.before")
                await self._reopen()
                failpoint("daemon.mend.after")
                self._home.register()
            self.trouble = ""
        except (WeaverError, OSError) as why:
            if not self.trouble:
                log.warning("cannot restore the state directory: %s", why)
            self.trouble = f"cannot restore the state directory: {why}"
