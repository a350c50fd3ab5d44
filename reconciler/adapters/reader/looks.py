"""Read saved files only when they have settled: two looks, a moment apart, must agree.

An editor that truncates before it writes, a checkout in the middle of its work, a copy that is
under way: each is seen in a state that nobody meant. Two looks that agree on every name, stamp and
byte are taken for what was meant; files whose stamp is the one of an earlier agreement need no
second look.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.adapters.reader.folder import Listing, Stamp, list_folder, unreadable
from reconciler.manifest.limits import MAX_FILE_BYTES
from reconciler.manifest.text import too_large
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import SourceHeldError

PAUSE_S = 0.05
MAX_LOOKS = 20

Stamps = Mapping[str, Stamp | None]
"""None: nothing is there."""
Contents = dict[str, bytes | Diagnostic | None]
"""What was read of files that changed: bytes, why not, or None where nothing is there."""

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The saved files at one moment."""

    listing: Listing = field(default_factory=Listing)
    others: Stamps = field(default_factory=dict)
    """weaver.yaml and env files."""
    changed: Contents = field(default_factory=dict)
    """Contents of those whose stamp is not the one agreed on before."""

    @property
    def stamps(self) -> Stamps:
        """Give the stamps of all files."""
        return {**self.listing.manifests, **self.others}


def look(root: str, others: Collection[str], agreed: Stamps, *, at_manifests: bool) -> Look:
    """Look once: list the manifests, if asked, and read what changed since `agreed`."""
    now = Look(
        listing=list_folder(root) if at_manifests else Listing(),
        others={path: _stamp(root, path) for path in others},
    )
    for path, stamp in now.stamps.items():
        if path not in agreed or agreed[path] != stamp:
            now.changed[path] = _read(root, path, stamp)
    return now


async def settled(take: Callable[[], Awaitable[Look]], agreed: Stamps, pause: Pause) -> Look:
    """Look until two looks agree. Raises SourceHeldError where files never come to rest."""
    now = await take()
    if not now.changed and now.stamps == agreed:
        return now
    restless: list[str] = []
    for _ in range(MAX_LOOKS):
        await pause(PAUSE_S)
        before, now = now, await take()
        if now == before:
            return now
        restless = _differing(before, now)
    raise SourceHeldError(
        f"cannot read the manifests: {', '.join(restless[:3])} changed at every look",
        mend="find out what writes them; nothing is changed until they are at rest",
    )


def _differing(one: Look, other: Look) -> list[str]:
    paths = {*one.stamps, *other.stamps, *one.listing.faults, *other.listing.faults}
    return sorted(
        path
        for path in paths
        if one.stamps.get(path) != other.stamps.get(path)
        or one.changed.get(path) != other.changed.get(path)
    )


def _stamp(root: str, path: str) -> Stamp | None:
    try:
        return Stamp.of(Path(_full(root, path)).stat())
    except (OSError, ValueError):
        return None


def _read(root: str, path: str, stamp: Stamp | None) -> bytes | Diagnostic | None:
    """Read a file that is one, and is not too large: by its size first, then by what comes."""
    if stamp is None:
        return None
    if not stamp.is_file:
        return unreadable(path, "it is not a regular file")
    if stamp.size > MAX_FILE_BYTES:
        return too_large(path, stamp.size)
    try:
        # Not even a fifo that took the file's place since keeps anybody waiting.
        descriptor = os.open(_full(root, path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as why:
        return unreadable(path, why.strerror or str(why))
    return data if len(data) <= MAX_FILE_BYTES else too_large(path, len(data))


def _full(root: str, path: str) -> str:
    return path if path.startswith("/") else f"{root}/{path}"
