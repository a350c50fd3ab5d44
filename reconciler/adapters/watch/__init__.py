"""Tell when manifests may have changed: file events, and a slow look for what they miss.

Only `services.d/` is watched in depth. The repository's own folder is watched flat, for the few
names in it that matter, so that services which log below it cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

from watchfiles import Change, awatch

from reconciler.adapters.watch.folders import Folders
from reconciler.manifest.naming import is_passing

SLOW_LOOK_S = 30.0
BLIND_LOOK_S = 2.0
"""Between looks while file events cannot be had: the user's inotify watches are used up."""
FILES_STEP_MS = 50
"""A change is told after two steps without another one."""
FOLDERS_STEP_S = 0.2
LONGEST_BURST_MS = 400
"""A burst without such a pause is told in pieces of this length."""

ROOT_NAMES = ("services.d", "weaver.yaml", ".git", ".weaver")
"""What matters in the repository's own folder; without `.weaver` nobody finds the daemon."""
GIT_NAMES = (
    "HEAD",
    "packed-refs",
    "logs/HEAD",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
    "rebase-merge",
    "rebase-apply",
)
"""What moves in a git directory when the branch does, or when git begins or ends its work."""


Identity = tuple[int, int] | None
"""A folder's device and inode; None where there is none."""


class Watch:
    """The files of one checkout that decide what should run."""

    def __init__(
        self, root: Path, git: Path | None = None, *, slow_look_s: float = SLOW_LOOK_S
    ) -> None:
        """Watch the checkout at `root`, whose HEAD is in the folder `git`."""
        self._root = root
        self._git = git
        self._services = root / "services.d"
        self._slow_look_s = slow_look_s
        self._also: frozenset[Path] = frozenset()
        self._changed = asyncio.Event()
        self._tree: asyncio.Task[None] | None = None
        self._folders: asyncio.Task[None] | None = None
        self._problems: dict[str, str] = {}
        self._armed: tuple[Identity, ...] = ()

    @property
    def problem(self) -> str:
        """Say why changes are seen late; empty while they are not."""
        return next(iter(self._problems.values()), "")

    async def changes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed; bursts are one."""
        self._arm()
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s()):
                        await self._changed.wait()
                if self._problems or self._armed != self._identities():
                    self._arm()
                self._changed.clear()
                yield
        finally:
            await self._disarm()

    def also(self, files: Iterable[Path]) -> None:
        """Watch these files besides, such as the env files that manifests name."""
        wanted = frozenset(files)
        if wanted == self._also:
            return
        self._also = wanted
        if self._folders is not None:
            self._folders.cancel()
            self._folders = asyncio.create_task(self._watch_folders(), name="watch-folders")

    def _look_s(self) -> float:
        return min(BLIND_LOOK_S, self._slow_look_s) if self._problems else self._slow_look_s

    def _arm(self) -> None:
        """Watch what is there now; what was watched before may be there no more."""
        self._armed = self._identities()
        for task in (self._tree, self._folders):
            if task is not None:
                task.cancel()
        self._tree = asyncio.create_task(self._watch_tree(), name="watch-services")
        self._folders = asyncio.create_task(self._watch_folders(), name="watch-folders")

    def _identities(self) -> tuple[Identity, ...]:
        return tuple(identity(path) for path in (self._root, self._services))

    async def _disarm(self) -> None:
        tasks = [task for task in (self._tree, self._folders) if task is not None]
        self._tree = self._folders = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_tree(self) -> None:
        """Watch the manifests themselves; ends when there is no such folder."""
        if not self._services.is_dir():
            return
        self._problems.pop("files", None)
        try:
            async for _ in awatch(
                self._services,
                watch_filter=is_lasting,
                debounce=LONGEST_BURST_MS,
                step=FILES_STEP_MS,
                recursive=True,
                ignore_permission_denied=True,
            ):
                self._changed.set()
        except (OSError, RuntimeError) as why:
            self._blind("files", f"cannot watch {self._services}: {why}")

    def _blind(self, kind: str, why: str) -> None:
        self._problems[kind] = f"{why}; looking every {BLIND_LOOK_S:g} s"
        self._changed.set()

    async def _watch_folders(self) -> None:
        """Watch the folders around them for the few names that matter."""
        wanted = self._wanted()
        self._problems.pop("folders", None)
        try:
            folders = Folders(sorted({path.parent for path in wanted if path.parent.is_dir()}))
        except OSError as why:
            self._blind("folders", str(why.strerror))
            return
        try:
            while True:
                await folders.readable()
                await asyncio.sleep(FOLDERS_STEP_S)  # what belongs together is one change
                happened = folders.happened()
                if happened is None or self._services in happened:
                    self._armed = ()  # a new folder can have the old one's inode
                if happened is None or happened & wanted:
                    self._changed.set()
        finally:
            folders.close()

    def _wanted(self) -> frozenset[Path]:
        names = {self._root / name for name in ROOT_NAMES}
        if self._git is not None:
            names |= {self._git / name for name in GIT_NAMES}
        return frozenset(names | self._also)


def is_lasting(_: Change, name: str) -> bool:
    """Tell whether a file event can concern a manifest: editors' own files do not.

    >>> is_lasting(Change.added, "/srv/services.d/.web.yaml.swp")
    False
    >>> is_lasting(Change.deleted, "/srv/services.d/web.yaml")
    True
    """
    return not is_passing(name.rpartition("/")[2])


def identity(folder: Path) -> Identity:
    """Tell folders apart that had the same path one after the other."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
