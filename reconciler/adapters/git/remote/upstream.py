"""The branch that is followed, as the runtime knows it: every call in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.signatures import Signers
from reconciler.core.heads import Step
from reconciler.core.trust import Keys, Signature


class RemoteBranch:
    """Implements `Upstream` by a mirror."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._signers = Signers()

    @property
    def address(self) -> str:
        """Give where the repository is, with no secret in it."""
        return str(self._mirror.address)

    @property
    def branch(self) -> str:
        """Give the branch that is followed."""
        return self._mirror.branch

    async def open(self) -> str:
        """Have a mirror, and give the commit that was followed before; empty for none."""
        await asyncio.to_thread(self._mirror.open)
        return await asyncio.to_thread(self._mirror.verified)

    async def look(self) -> str:
        """Ask where the branch is; empty where there is none."""
        return await asyncio.to_thread(self._mirror.look)

    async def fetch(self) -> str:
        """Bring the branch here and give its commit."""
        return await asyncio.to_thread(self._mirror.fetch)

    async def fetched(self) -> str:
        """Give the commit that was fetched last."""
        return await asyncio.to_thread(self._mirror.fetched)

    async def compare(self, old: str, new: str) -> Step:
        """Say how one commit comes after another."""
        return await asyncio.to_thread(self._mirror.compare, old, new)

    async def signatures(
        self, old: str, new: str, keys: Keys, *, every: bool
    ) -> Sequence[Signature]:
        """Give who signed a commit, or every one since `old`."""
        repo = self._mirror.repo
        return await asyncio.to_thread(self._signers.of, repo, old, new, keys, every=every)

    async def advance(self, new: str, old: str) -> None:
        """Follow another commit from now on."""
        await asyncio.to_thread(self._mirror.advance, new, old)

    async def others(self) -> Sequence[str]:
        """Name some branches that there are."""
        return await asyncio.to_thread(self._mirror.others)
