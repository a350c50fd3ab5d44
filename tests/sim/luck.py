"""Luck of its own for everything that is made up, so that one more draw moves nothing else.

Stored episodes are worth something only while they stay what they were. So whatever is drawn for
one purpose comes from a luck that is named after it, and a choice falls on what it fell on before,
unless it falls on an option that is new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

T = TypeVar("T")


class Luck(Random):
    """What a seed has in store."""

    def __init__(self, seed: int | str) -> None:
        self._root = str(seed)
        super().__init__(self._root)

    def of(self, *purpose: str) -> Luck:
        """Give the luck of a purpose: it depends on nothing that is drawn for another."""
        return Luck(" ".join((self._root, *purpose)))

    def choice(self, seq: SupportsLenAndGetItem[T]) -> T:
        """Choose one of several options; what is said twice comes twice as often."""
        return seq[self._ranked(seq)[0]]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """Choose so many of the options, in no order."""
        return [options[at] for at in self._ranked(options)[:count]]

    def _ranked(self, options: SupportsLenAndGetItem[Any]) -> list[int]:
        """Give the places of the options in an order in which each has its own place by chance."""
        salt, times = self.getrandbits(64), Counter[str]()
        ranks = []
        for at in range(len(options)):
            told = repr(options[at])
            times[told] += 1
            ranks.append((_rank(f"{salt} {times[told]} {told}"), at))
        return [at for _, at in sorted(ranks)]


def _rank(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
