"""The branch elsewhere that the branch of a checkout is pushed to."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.pushes import Compared, PushHeld, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is here and, as far as is known here, not there."""

    head: str = ""
    target: Target | None = None
    """None: nothing can be pushed, for want of a branch or of a place."""
    ours: int = 0
    """So many commits of Weaver's wait."""
    held: PushHeld | None = None
    """Why there is no target, where that is a fault."""


class Outbox(Protocol):
    """Pushes the branch of a checkout. Slow: threads and git processes; all of it ends in time.

    Every call but `mark` raises WeaverError, with the mend, where the repository or the other
    side fails.
    """

    def mark(self) -> Hashable:
        """Give what is another as soon as the branch, or what is known of theirs, has moved."""
        ...

    async def waiting(self) -> Waiting:
        """Look here for commits of Weaver's that are to be pushed; nobody else is asked."""
        ...

    async def compare(self, waiting: Waiting, target: Target) -> Compared:
        """Ask the other side what it has."""
        ...

    async def push(self, found: Compared) -> None:
        """Move the branch there forwards.

        Raises ConflictError where it has moved meanwhile, ForbiddenError where it is refused.
        """
        ...

    def close(self) -> None:
        """End what talks to the other side: whoever comes next begins anew, and loses nothing."""
        ...
