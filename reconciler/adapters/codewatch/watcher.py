"""One watch for the code of all services: off while nobody asks, and no more than one at a time.

Folders are watched one by one, without those that are ignored: a `node_modules` costs nothing. A
change is told once nothing more changed for the `delay` of its service; a storm without any pause
is told now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from watchfiles import Change, awatch

from reconciler.adapters.codewatch.ground import Ground, Plot
from reconciler.model.event import FilesChanged
from reconciler.model.spec import Watch
from reconciler.model.units import Nanos, ServiceName

STEP_MS = 50
LOOK_S = 2.0
"""Between looks where file events cannot be had: the user's inotify watches are used up."""
TRY_AGAIN_S = 60.0
"""After which file events are tried again."""
LONGEST_STORM = 10
"""Delays after which a change is told though others follow without a pause."""
MOST_NAMES = 5

Watches = Mapping[ServiceName, Watch]


@dataclass(slots=True, kw_only=True)
class _Burst:
    """Changes of one service that were not told yet."""

    plot: Plot
    at: Nanos
    begun: float
    due: float
    files: dict[str, None] = field(default_factory=dict)


class CodeWatch:
    """Watches what services ask for, and tells what changed."""

    def __init__(self, root: Path, now: Callable[[], Nanos], *, look_s: float = LOOK_S) -> None:
        self._root = str(root)
        self._now = now
        self._look_s = look_s
        self._wanted: tuple[Watches, frozenset[str]] = ({}, frozenset())
        self._asked = asyncio.Event()
        self._stirred = asyncio.Event()
        self._bursts: dict[ServiceName, _Burst] = {}
        self._trouble = ""
        self.watched_folders = 0

    @property
    def problem(self) -> str:
        """Say why changes of code are seen late, or not at all; empty while they are."""
        return self._trouble

    def absent(self) -> dict[ServiceName, tuple[str, ...]]:
        """Give the watched paths that are not there, as the manifests write them. Looks at each."""
        root = Path(self._root)
        found = {
            name: tuple(path for path in watch.paths if not _is_there(root / path))
            for name, watch in self._wanted[0].items()
        }
        return {name: paths for name, paths in found.items() if paths}

    def want(self, watches: Watches, spared: frozenset[str]) -> None:
        """Watch for these services from now on; files and folders that are spared never count."""
        if (watches, spared) != self._wanted:
            self._wanted = (dict(watches), spared)
            self._asked.set()

    async def run(self, tell: Callable[[FilesChanged], None]) -> None:
        """Watch without end, and tell each change once it is over."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_in_time(tell))
            while True:
                self._asked.clear()
                watches, spared = self._wanted
                plots = [Plot.of(name, one, self._root) for name, one in sorted(watches.items())]
                self._bursts = {n: one for n, one in self._bursts.items() if n in watches}
                if not plots:
                    self._trouble, self.watched_folders = "", 0
                    await self._asked.wait()
                    continue
                await self._watch_until_asked(Ground(self._root, plots, spared))

    async def _watch_until_asked(self, ground: Ground) -> None:
        """Watch until something else is wanted."""
        watching = asyncio.create_task(self._watch(ground), name="watch-code")
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait((watching, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watching, asked):
                task.cancel()
            await asyncio.gather(watching, asked, return_exceptions=True)

    async def _watch(self, ground: Ground) -> None:
        while True:
            folders = await asyncio.to_thread(ground.folders)
            self.watched_folders = len(folders)
            self._trouble = _too_much(folders) if ground.is_cut else ""
            try:
                async for paths in self._events(folders):
                    if self._note(ground, paths):
                        break  # a new folder is watched from now on
            except (OSError, RuntimeError) as why:
                self._trouble = f"cannot watch code: {why}; looking every {self._look_s:g} s"
                await self._look(ground)

    async def _events(self, folders: list[str]) -> AsyncIterator[list[tuple[Change, str]]]:
        if not folders:
            await asyncio.sleep(self._look_s)
            yield [(Change.added, self._root)]
            return
        async for changes in awatch(
            *folders,
            watch_filter=None,
            debounce=2 * STEP_MS,
            step=STEP_MS,
            recursive=False,
            ignore_permission_denied=True,
        ):
            yield sorted(changes)

    def _note(self, ground: Ground, changes: list[tuple[Change, str]]) -> bool:
        """Keep what changed for those whom it concerns; tell whether folders came."""
        has_new_folder = False
        for change, path in changes:
            is_folder = Path(path).is_dir()
            if is_folder and change is Change.modified:
                continue  # its times or mode; what is in it is told by itself
            concerned = list(ground.concerned(path))
            has_new_folder |= is_folder and (bool(concerned) or path == self._root)
            if path != self._root:
                for plot, name in concerned:
                    self._add(plot, name)
        return has_new_folder

    async def _look(self, ground: Ground) -> None:
        """Look at every file by the clock for a while, since nobody tells of changes."""
        before = await asyncio.to_thread(ground.stamps)
        for _ in range(max(1, round(TRY_AGAIN_S / self._look_s))):
            await asyncio.sleep(self._look_s)
            after = await asyncio.to_thread(ground.stamps)
            changed = sorted({path for path, _ in before.items() ^ after.items()})
            for path in changed:
                for plot, name in ground.concerned(path):
                    self._add(plot, name)
            before = after

    # --- telling -----------------------------------------------------------------------------

    def _add(self, plot: Plot, name: str) -> None:
        now = asyncio.get_running_loop().time()
        burst = self._bursts.get(plot.service)
        if burst is None:
            burst = _Burst(plot=plot, at=self._now(), begun=now, due=now)
            self._bursts[plot.service] = burst
        burst.files[name] = None
        longest = burst.begun + LONGEST_STORM * plot.delay_s
        burst.due = min(now + plot.delay_s, longest)
        self._stirred.set()

    async def _tell_in_time(self, tell: Callable[[FilesChanged], None]) -> None:
        while True:
            now = asyncio.get_running_loop().time()
            for burst in [one for one in self._bursts.values() if one.due <= now]:
                del self._bursts[burst.plot.service]
                files = tuple(burst.files)
                tell(
                    FilesChanged(
                        service=burst.plot.service,
                        files=files[:MOST_NAMES],
                        count=len(files),
                        at=burst.at,
                    )
                )
            due = min((one.due for one in self._bursts.values()), default=None)
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - now)):
                    await self._stirred.wait()


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _too_much(folders: list[str]) -> str:
    return (
        f"cannot watch all code: there are more than {len(folders)} folders; "
        "put those that are no code into watch.ignore"
    )
