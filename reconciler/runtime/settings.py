"""The settings in force, and when they change."""

from __future__ import annotations

import asyncio

from reconciler.manifest.config import Config


class Settings:
    """weaver.yaml as last read."""

    def __init__(self) -> None:
        self.now = Config()
        self._taken = asyncio.Event()

    def take(self, config: Config) -> None:
        """Put what was read into force."""
        self.now = config
        self._taken.set()
        self._taken = asyncio.Event()

    async def other_than(self, known: Config) -> Config:
        """Give the settings once they are others than these."""
        while self.now == known:
            await self._taken.wait()
        return self.now
