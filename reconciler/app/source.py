"""Choose where the manifests come from: a checkout, or a branch of a repository elsewhere."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.outbox import CheckoutOutbox
from reconciler.adapters.git.remote.repository import FollowedRepository, Ties
from reconciler.adapters.git.repository import GitRepository
from reconciler.adapters.reader import FileReader
from reconciler.adapters.watch import Watch
from reconciler.app.branch import announce, mirror_of, open_branch, withdraw
from reconciler.app.checkout import open_worktree
from reconciler.model.event import Happening
from reconciler.ports import Drafts, Manifests, Repository, WeaverError
from reconciler.ports.outbox import Outbox
from reconciler.runtime import followed
from reconciler.runtime.following import Following
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.settings import Settings

OUTBOX = "outbox.git"
"""In the state directory: the repository by way of which a checkout is pushed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the manifests come from, and where changes of them go."""

    manifests: Manifests
    drafts: Drafts
    settings: Settings
    repository: Repository
    watch: Watch
    following: Following | None = None
    """None: the files of a checkout are followed as saved."""
    mirror: Mirror | None = None
    outbox: Outbox | None = None
    """What pushes the branch of a checkout; None: a branch elsewhere is followed."""

    def announce(self, paths: StatePaths) -> None:
        """Let those who push into a repository on this host know who follows it."""
        if self.mirror is not None:
            announce(paths, self.mirror)

    def withdraw(self, paths: StatePaths) -> None:
        """Be asked by nobody any more."""
        if self.mirror is not None:
            withdraw(paths, self.mirror)

    def trouble(self) -> str:
        """Say what is wrong with looking at it; empty while nothing is."""
        return self.following.trouble if self.following else ""


def require_source(paths: StatePaths) -> None:
    """See that there is something to follow. Raises WeaverError with the mend."""
    noted = followed.read(paths.state)
    if noted is None:
        locate(paths.root)
    else:
        mirror_of(paths, noted)


async def open_source(
    paths: StatePaths,
    options: UpOptions,
    reader: FileReader,
    note: Callable[[Happening], Awaitable[None]],
) -> Source:
    """Give what this home follows. Raises WeaverError where it says nothing that can be."""
    noted = followed.read(paths.state)
    if noted is None:
        watch = Watch(paths.root, locate(paths.root).git_dir)
        worktree = open_worktree(paths.root, reader, watch, options.only)
        return Source(
            manifests=worktree,
            drafts=worktree.drafts,
            settings=worktree.settings,
            repository=GitRepository(paths.root, _signing(paths, worktree.settings)),
            watch=watch,
            outbox=CheckoutOutbox(paths.root, paths.state / OUTBOX),
        )
    watch, mirror = Watch(paths.root), mirror_of(paths, noted)
    following = open_branch(paths, mirror, reader, watch, options.only, note)
    with suppress(WeaverError):  # the first round says what is wrong
        await following.resume()
    ties = Ties(
        look=following.look,
        adopt=following.adopt,
        held=lambda: following.behind,
        luck=random.random,
        sign=_signing(paths, following.settings),
    )
    return Source(
        manifests=following,
        drafts=following.drafts,
        settings=following.settings,
        repository=FollowedRepository(mirror, str(paths.root), ties),
        watch=watch,
        following=following,
        mirror=mirror,
    )


def _signing(paths: StatePaths, settings: Settings) -> Callable[[], str]:
    """Give what names the key that commits are signed with, by the settings in force."""

    def key() -> str:
        named = settings.now.sign
        return str(paths.root / named) if named else ""

    return key
