"""The manifests of a checkout: read as saved, with where git stands; and changes tried on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from reconciler.manifest.codes import Code
from reconciler.manifest.config import Config
from reconciler.manifest.intent import Intent
from reconciler.model.desired import Definition, ManifestSet, Revision
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.errors import NotFoundError, SourceHeldError, WeaverError
from reconciler.model.spec import DesiredState
from reconciler.model.units import ServiceName
from reconciler.ports import Draft

Texts = Mapping[str, bytes]
EnvFiles = Mapping[str, bytes | None]
Found = tuple[Mapping[str, str], Mapping[str, str]]
"""The hashes of files, and of those without one the reason."""
LOCK_PATIENCE_S = 0.2
"""How long a lock of git's may be there before the files count as not to be trusted."""


class Split(Protocol):
    """Splits a file into the services that it defines."""

    async def __call__(
        self, path: str, data: bytes, *, must_be_valid: bool
    ) -> Sequence[tuple[ServiceName, str]]:
        """Give each service with the text of its document. Raises ManifestError."""
        ...


class Gathered(Protocol):
    """What all files say, before it is put together."""

    @property
    def config(self) -> Config:
        """Give the settings of weaver.yaml."""
        ...

    @property
    def env_files(self) -> EnvFiles:
        """Give the contents of env files."""
        ...

    def assemble(self, revision: Revision) -> ManifestSet:
        """Put everything together."""
        ...


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
    """One checkout. Implements `Manifests` and `Drafts`."""

    def __init__(self, root: Path, hands: Hands, *, only: Iterable[ServiceName] = ()) -> None:
        self._root = root
        self._hands = hands
        self._only = frozenset(only)
        self._last: Gathered | None = None
        self._contents: Found = ({}, {})
        self._configured = asyncio.Event()

    @property
    def config(self) -> Config:
        """Give the settings as last read."""
        return self._last.config if self._last else Config()

    async def reconfigured(self, known: Config) -> Config:
        """Give the settings once they are others than these."""
        while self.config == known:
            await self._configured.wait()
        return self.config

    # --- Manifests -------------------------------------------------------------------------

    async def read(self) -> ManifestSet:
        """Read everything as saved. Raises SourceHeldError where it cannot be trusted now."""
        await self._refuse_held()
        gathered = await self._hands.read_saved()
        revision = await asyncio.to_thread(self._revision)
        # Git may have begun its work while we read.
        await self._refuse_held()
        self._last = gathered
        self._configured.set()
        self._configured = asyncio.Event()
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

    async def draft(self, intents: Sequence[Intent]) -> Draft:
        """Give what the intents would make of the saved manifests."""
        saved = await asyncio.to_thread(self._hands.saved)
        changed = await self._hands.replay(saved, intents)
        after = {path: data for path, data in {**saved, **changed}.items() if data is not None}
        env_files = self._last.env_files if self._last else {}
        gathered = await self._hands.read_texts(after, env_files)
        revision = await asyncio.to_thread(self._revision)
        return Draft(
            manifests=chosen(
                with_contents(gathered.assemble(revision), *self._contents), self._only
            ),
            files={
                path: (_text(saved.get(path)), _text(data))
                for path, data in changed.items()
                if saved.get(path) != data
            },
        )

    async def documents(self, text: str, path: str) -> Sequence[tuple[ServiceName, str]]:
        """Split a file to apply into its services."""
        data = text.encode("utf-8", "surrogatepass")
        return await self._hands.split(path or "-", data, must_be_valid=True)

    async def document(self, path: str, service: ServiceName) -> str:
        """Give the text of a service's document as saved."""
        saved = await asyncio.to_thread(self._hands.saved)
        if path not in saved:
            raise NotFoundError(f"cannot find {path}, which defined {service}")
        for name, text in await self._hands.split(path, saved[path], must_be_valid=False):
            if name == service:
                return text
        raise NotFoundError(f"cannot find {service} in {path}")


def _left_out(found: Definition) -> Definition:
    if not found.spec.wants_to_run:
        return found
    return replace(found, spec=replace(found.spec, state=DesiredState.STOPPED), left_out=True)


def chosen(manifests: ManifestSet, only: frozenset[ServiceName]) -> ManifestSet:
    """Let all services but these and what they need count as stopped; none named: all run."""
    if not only:
        return manifests
    wanted: set[ServiceName] = set()
    waiting = [name for name in only if name in manifests.definitions]
    while waiting:
        name = waiting.pop()
        if name not in wanted and name in manifests.definitions:
            wanted.add(name)
            waiting += [need.service for need in manifests.definitions[name].spec.needs]
    definitions = {
        name: found if name in wanted else _left_out(found)
        for name, found in manifests.definitions.items()
    }
    return replace(manifests, definitions=definitions)


def loaded_files(manifests: ManifestSet) -> frozenset[str]:
    """Give the files that any service loads (`reloadOn`)."""
    specs = (found.spec for found in manifests.definitions.values())
    return frozenset(path for spec in specs for path in spec.reload_on)


def with_contents(
    manifests: ManifestSet, hashes: Mapping[str, str], problems: Mapping[str, str]
) -> ManifestSet:
    """Note in each spec what the files hold that it loads, and warn of those not to be had."""
    definitions = dict(manifests.definitions)
    warnings = []
    for name, found in manifests.definitions.items():
        paths = found.spec.reload_on
        if paths:
            loads = {path: hashes[path] for path in paths if path in hashes}
            definitions[name] = replace(found, spec=replace(found.spec, loads=loads))
            warnings += [_unloadable(found.source, p, problems[p]) for p in paths if p in problems]
    diagnostics = tuple(sorted((*manifests.diagnostics, *warnings)))
    return replace(manifests, definitions=definitions, diagnostics=diagnostics)


def _unloadable(source: Source, path: str, problem: str) -> Diagnostic:
    return Diagnostic(
        source=source,
        code=Code.NO_RELOAD_FILE,
        message=f"a change of {path} (reloadOn) cannot be seen: {problem}",
        mend="bring the file back, or name another; a folder is named file by file",
        is_warning=True,
    )


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")
