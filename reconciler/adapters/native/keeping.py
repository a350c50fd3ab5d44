"""Keep duplicates of what the holder must not lose, and give them to the next one.

Notify sockets, and the descriptors that services have stored: whoever holds a duplicate keeps
them open, and what services say meanwhile waits in the sockets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from reconciler.adapters.native.link import Link, LinkLost
from reconciler.failpoints import failpoint
from reconciler.holder import wire

Message = dict[str, Any]
NEWS = ("kept", "unkept")
"""Events of the holder that are for here."""


@dataclass(slots=True)
class Keeping:
    """What one holder gave us to keep, by slot and number."""

    holder: int = 0
    _kept: dict[tuple[str, int], tuple[Message, int]] = field(default_factory=dict)

    def hear(self, event: Message, fds: list[int]) -> None:
        """Take or drop what the holder tells of."""
        failpoint("daemon.keep.before")
        key = (event["slot"], event["number"])
        known = self._kept.pop(key, None)
        if known is not None:
            wire.close_all([known[1]])
        if event["event"] == "kept" and fds:
            self._kept[key] = (event, fds.pop(0))
        failpoint("daemon.keep.after")
        wire.close_all(fds)

    @property
    def slots(self) -> frozenset[str]:
        """Give the slots that have a notify socket, as the holder names them."""
        told = (one for one, _ in self._kept.values())
        return frozenset(one["slot"] for one in told if one["what"] == "socket")

    async def hand_over(self, link: Link, holder: int, *, whole: bool) -> None:
        """Give everything to a holder, if it is another one than gave it to us, and let go.

        One that can takes a socket as a `whole`, with what was stored behind it: it reads the
        socket as soon as it has it, and what waits in there may be about what was stored.
        """
        kept, self._kept = self._kept, {}
        found = _sockets_first(kept.values()) if holder != self.holder else []
        try:
            for told, fds in _wholes(found) if whole else _pieces(found):
                with suppress(LinkLost):
                    await link.ask("keep", fds=fds, **told)
        finally:
            wire.close_all(fd for _, fd in kept.values())

    def close(self) -> None:
        """Let go of everything."""
        kept, self._kept = self._kept, {}
        wire.close_all(fd for _, fd in kept.values())


def _sockets_first(kept: Iterable[tuple[Message, int]]) -> list[tuple[Message, int]]:
    """Order so that a slot has its socket before what was stored over it."""
    return sorted(kept, key=lambda one: (one[0]["slot"], one[0]["number"]))


def _pieces(kept: Iterable[tuple[Message, int]]) -> Iterator[tuple[Message, list[int]]]:
    """Yield what to tell of each descriptor by itself."""
    for event, fd in kept:
        yield {name: event[name] for name in event if name not in ("event", "number")}, [fd]


def _wholes(kept: Iterable[tuple[Message, int]]) -> Iterator[tuple[Message, list[int]]]:
    """Yield what to tell of each socket, and of what was stored behind it."""
    for _, of_slot in groupby(kept, key=lambda one: one[0]["slot"]):
        (told, fds), *behind = _pieces(of_slot)
        yield (
            told | {"stored": [one for one, _ in behind]},
            [*fds, *(fd for _, own in behind for fd in own)],
        )
