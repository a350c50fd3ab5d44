"""The manifests of a checkout: read as saved, with where git stands; and changes tried on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.manifest.intent import Intent
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.errors import SourceHeldError, WeaverError
from reconciler.model.units import ServiceName
from reconciler.runtime.choosing import chosen, loaded_files, with_contents
from reconciler.runtime.drafting import Drafting, EnvFiles, Gathered, Pens, Split, Texts
from reconciler.runtime.settings import Settings

Found = tuple[Mapping[str, str], Mapping[str, str]]
"""The hashes of files, and of those without one the reason."""
LOCK_PATIENCE_S = 0.2
"""How long a lock of git's may be there before the files count as not to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What a checkout is read and watched with."""

    read_saved: Callable[[], Awaitable[Gathered]]
    read_texts: Callable[[Texts, EnvFiles], Awaitable[Gathered]]
    hold: Callable[[float], str]
    """Why the saved files must not be trusted now; given seconds for a lock to go away."""
    head: Callable[[], Revision]
    saved: Callable[[], Texts]
    """Every manifest as saved, and weaver.yaml."""
    dirty: Callable[[Revision, Texts], tuple[str, ...]]
    changes: Callable[[], AsyncIterator[None]]
    also_watch: Callable[[Iterable[Path]], None]
    contents: Callable[[Iterable[str]], Found]
    """Hashes the files that services load. Blocks."""
    replay: Callable[[Texts, Sequence[Intent]], Awaitable[Mapping[str, bytes | None]]]
    split: Split


class Worktree:
    """One checkout. Implements `Manifests`."""

    def __init__(self, root: Path, hands: Hands, *, only: Iterable[ServiceName] = ()) -> None:
        self._root = root
        self._hands = hands
        self._only = frozenset(only)
        self._last: Gathered | None = None
        self._contents: Found = ({}, {})
        self.settings = Settings()
        self.drafts = Drafting(
            Pens(texts=self._saved, read=self._read_draft, replay=hands.replay, split=hands.split)
        )
        """Tries changes of what is saved."""

    @property
    def behind(self) -> str:
        """Say why what is read is not the newest; it always is."""
        return ""

    # --- Manifests -------------------------------------------------------------------------

    async def read(self) -> ManifestSet:
        """Read everything as saved. Raises SourceHeldError where it cannot be trusted now."""
        await self._refuse_held()
        gathered = await self._hands.read_saved()
        revision = await asyncio.to_thread(self._revision)
        # Git may have begun its work while we read.
        await self._refuse_held()
        self._last = gathered
        self.settings.take(gathered.config)
        found = gathered.assemble(revision)
        loaded = loaded_files(found)
        self._hands.also_watch(self._root / path for path in (*gathered.env_files, *loaded))
        self._contents = await asyncio.to_thread(self._hands.contents, loaded)
        return chosen(with_contents(found, *self._contents), self._only)

    def changes(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed."""
        return self._hands.changes()

    async def has_moved(self, since: Revision) -> bool:
        """Tell whether the branch stands elsewhere now."""
        try:
            head = await asyncio.to_thread(self._hands.head)
        except WeaverError:
            return False  # the next reading tells what is wrong
        return (head.commit, head.branch) != (since.commit, since.branch)

    async def _refuse_held(self) -> None:
        held = await asyncio.to_thread(self._hands.hold, LOCK_PATIENCE_S)
        if held:
            raise SourceHeldError(held)

    def _revision(self) -> Revision:
        head = self._hands.head()
        return replace(head, dirty=self._hands.dirty(head, self._hands.saved()))

    # --- Drafts ----------------------------------------------------------------------------

    async def _saved(self) -> Texts:
        return await asyncio.to_thread(self._hands.saved)

    async def _read_draft(self, texts: Texts) -> ManifestSet:
        env_files = self._last.env_files if self._last else {}
        gathered = await self._hands.read_texts(texts, env_files)
        found = gathered.assemble(await asyncio.to_thread(self._revision))
        return chosen(with_contents(found, *self._contents), self._only)
