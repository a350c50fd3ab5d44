"""Put the parts together that follow a branch of a repository elsewhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from reconciler.adapters.clock import HostClock
from reconciler.adapters.contents import Hasher
from reconciler.adapters.git.remote.address import check_url
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.upstream import RemoteBranch
from reconciler.adapters.reader import FileReader, Gathered
from reconciler.adapters.reader.folder import unreadable
from reconciler.adapters.watch import Watch
from reconciler.manifest.result import FileResult
from reconciler.model.event import Happening
from reconciler.model.units import ServiceName
from reconciler.runtime import followers
from reconciler.runtime.drafting import Texts
from reconciler.runtime.followed import MIRROR, Followed
from reconciler.runtime.followers import Follower
from reconciler.runtime.following import Following, Hands
from reconciler.runtime.paths import StatePaths

Note = Callable[[Happening], Awaitable[None]]


def mirror_of(paths: StatePaths, followed: Followed) -> Mirror:
    """Give the mirror of what a home follows; nothing is made yet. Raises ManifestError."""
    address = check_url(followed.url, paths.root)
    return Mirror(paths.state / MIRROR, address, followed.branch, followed.folder)


def announce(paths: StatePaths, mirror: Mirror) -> None:
    """Leave a note in the repository that is followed, if it is on this host and we may."""
    place = _on_this_host(mirror)
    if place is not None:
        here = Follower(home=str(paths.root), socket=str(paths.socket), branch=mirror.branch)
        followers.note(place, paths.key, here)


def withdraw(paths: StatePaths, mirror: Mirror) -> None:
    """Take that note away again."""
    place = _on_this_host(mirror)
    if place is not None:
        followers.forget(place, paths.key)


def _on_this_host(mirror: Mirror) -> Path | None:
    return followers.git_dir(mirror.address.local) if mirror.address.local else None


def open_branch(
    paths: StatePaths,
    mirror: Mirror,
    reader: FileReader,
    watch: Watch,
    only: Iterable[ServiceName],
    note: Note,
) -> Following:
    """Give the branch as the daemon follows it."""

    async def read_commit(commit: str) -> Gathered:
        found = await asyncio.to_thread(mirror.read, commit)
        refused = (
            FileResult(file=path, diagnostics=(unreadable(path, why),), is_broken=True)
            for path, why in sorted(found.refused.items())
        )
        return await reader.read_commit(found.files, refused)

    def texts(commit: str) -> Texts:
        return mirror.read(commit).files

    hands = Hands(
        read_commit=read_commit,
        own_settings=reader.read_settings,
        read_texts=reader.read_texts,
        texts=texts,
        changes=watch.changes,
        also_watch=watch.also,
        contents=Hasher(paths.root),
        replay=reader.replay,
        split=reader.split,
        now=HostClock().now,
        luck=random.random,
        note=note,
    )
    return Following(paths.root, RemoteBranch(mirror), hands, only=only)
