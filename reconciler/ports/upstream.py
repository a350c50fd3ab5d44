"""A branch of a repository that is elsewhere, and our mirror of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reconciler.core.heads import Step
from reconciler.core.trust import Keys, Signature


class Upstream(Protocol):
    """The branch that is followed. Slow: threads and git processes; all of it ends in time.

    Every call raises WeaverError, with the mend, where the other side or the mirror fails.
    """

    @property
    def address(self) -> str:
        """Give where the repository is, with no secret in it."""
        ...

    @property
    def branch(self) -> str:
        """Give the branch that is followed."""
        ...

    async def open(self) -> str:
        """Have a mirror, and give the commit that was followed before; empty for none."""
        ...

    async def look(self) -> str:
        """Ask where the branch is; empty where there is none."""
        ...

    async def fetch(self) -> str:
        """Bring the branch here and give its commit."""
        ...

    async def fetched(self) -> str:
        """Give the commit that was fetched last; empty for none."""
        ...

    async def compare(self, old: str, new: str) -> Step:
        """Say how one commit comes after another; an empty one: there was none."""
        ...

    async def signatures(
        self, old: str, new: str, keys: Keys, *, every: bool
    ) -> Sequence[Signature]:
        """Give who signed a commit, or `every` one since `old`, along all parents."""
        ...

    async def advance(self, new: str, old: str) -> None:
        """Follow another commit from now on, unless it is followed from elsewhere than `old`."""
        ...

    async def others(self) -> Sequence[str]:
        """Name some branches that there are."""
        ...
