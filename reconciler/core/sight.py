"""Know what of the manifests and of the host is in sight."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is in sight of the manifests and the host."""

    source_held: str = ""
    """Why the manifests are not followed just now; empty when they are."""
    host_unseen: str = ""
    """Why the host is out of sight; empty when it is not."""
    is_read: bool = True
    """Whether this daemon has read the manifests, ever."""
    is_looked_at: bool = True
    """Whether this daemon has looked at the host, ever."""

    @property
    def unread(self) -> str:
        """Say that nobody knows yet what is wanted; empty when the manifests were read."""
        if self.is_read:
            return ""
        held = self.source_held
        return f"waiting for the manifests: {held}" if held else "waiting for the manifests"

    @property
    def is_clear(self) -> bool:
        """Tell whether nothing is out of sight."""
        return self.is_read and not (self.source_held or self.host_unseen)
