"""Decide which changes go into one commit: those of one person that do not touch each other."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

MOST = 200
"""Changes in one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Changes that go into one commit, and what was passed over for a later one.

    >>> batch = Batch(author="ada").having({"web"})
    >>> batch.takes("ada", {"db"}), batch.takes("ada", {"web"}), batch.takes("bob", {"db"})
    (True, False, False)
    """

    author: str
    """Who asked for all of them, in whatever words that is told."""
    services: frozenset[str] = frozenset()
    passed: frozenset[str] = frozenset()
    """Services of earlier changes that wait; nobody overtakes one of the same service."""
    size: int = 0

    def takes(self, author: str, services: AbstractSet[str]) -> bool:
        """Tell whether one more change belongs into the same commit."""
        is_apart = not services & self.services and not services & self.passed
        return author == self.author and is_apart and self.size < MOST

    def having(self, services: AbstractSet[str]) -> Batch:
        """Give it with one more change."""
        return replace(self, services=self.services | services, size=self.size + 1)

    def passing(self, services: AbstractSet[str]) -> Batch:
        """Give it after a change was left for a later commit."""
        return replace(self, passed=self.passed | services)
