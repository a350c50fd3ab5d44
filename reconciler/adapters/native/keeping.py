"""Keep duplicates of what the holder must not lose, and give them to the next one.

Notify sockets, and the descriptors that services have stored: whoever holds a duplicate keeps
them open, and what services say meanwhile waits in the sockets.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
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

    async def hand_over(self, link: Link, holder: int) -> None:
        """Give everything to a holder, if it is another one than gave it to us, and let go."""
        kept, self._kept = self._kept, {}
        try:
            for event, fd in _sockets_first(kept.values()) if holder != self.holder else ():
                told = {name: event[name] for name in event if name not in ("event", "number")}
                with suppress(LinkLost):
                    await link.ask("keep", fds=[fd], **told)
        finally:
            wire.close_all(fd for _, fd in kept.values())

    def close(self) -> None:
        """Let go of everything."""
        kept, self._kept = self._kept, {}
        wire.close_all(fd for _, fd in kept.values())


def _sockets_first(kept: Iterable[tuple[Message, int]]) -> list[tuple[Message, int]]:
    """Order so that a slot has its socket before what was stored over it."""
    return sorted(kept, key=lambda one: (one[0]["slot"], one[0]["number"]))
