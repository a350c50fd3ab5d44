"""Follow the saved manifests: only what changed is read, in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.adapters.reader import cache
from reconciler.adapters.reader.client import Worker
from reconciler.adapters.reader.gathered import Gathered, env_paths
from reconciler.adapters.reader.looks import Look, Pause, Stamps, look, settled
from reconciler.manifest.codes import Code
from reconciler.manifest.config import CONFIG_FILE, Config, ConfigResult
from reconciler.manifest.intent import Intent
from reconciler.manifest.pipe import Answer, PackedIntent, Read, Replay, Request, Split
from reconciler.manifest.resolve import EnvFiles
from reconciler.manifest.result import FileResult
from reconciler.manifest.text import seeming_names
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.errors import ManifestError, SourceHeldError
from reconciler.model.units import ServiceName

Texts = Mapping[str, bytes]
Changes = Mapping[str, bytes | None]
"""Paths and their new texts; None: the file goes."""
Documents = Sequence[tuple[ServiceName, str]]


class FileReader:
    """The reader of one checkout; remembers what it read, so that a second read costs stats."""

    def __init__(
        self,
        root: str,
        cache_folder: Path | None = None,
        *,
        worker: Worker | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._root = root
        self._cache_folder = cache_folder
        self._worker = worker or Worker()
        self._pause = pause
        self._turn = asyncio.Lock()
        self._agreed: Stamps = {}
        """Of every file, as two looks agreed on them."""
        self._small: dict[str, bytes | Diagnostic | None] = {}
        """The contents of weaver.yaml and of env files; manifests are kept as results only."""
        self._known: dict[str, FileResult] = {}
        """By cache key: what the manifests say, as they are now."""
        self._keys: dict[str, str] = {}
        """The cache key of each manifest."""
        self._read_config = ConfigResult()
        self._config: Config | None = None
        self._branch: Config | None = None
        """The last good settings of a branch that is followed."""
        self._is_fresh = True

    async def warm(self) -> None:
        """Start the worker where nothing is known yet, so that it begins beside us."""
        async with self._turn:
            await self._recall()
            if not self._known:
                await self._worker.warm()

    async def _recall(self) -> None:
        """Take up what an earlier life has read."""
        if self._is_fresh:
            self._known = await asyncio.to_thread(cache.load, self._cache_folder)
            self._is_fresh = False

    async def read_worktree(self) -> Gathered:
        """Read everything as saved. Raises SourceHeldError where that cannot be trusted now."""
        async with self._turn:
            await self._recall()
            seen, config = await self._look_at_all()
            files = await self._read_manifests(seen, config)
            named = env_paths(files)
            env = await self._look(named, at_manifests=False)
            self._agreed = {**seen.stamps, **env.stamps}
            return Gathered(
                files=files,
                config=config,
                env_files={path: self._content(path) for path in sorted(named)},
                also=(*self._read_config.diagnostics, *seen.listing.warnings),
            )

    async def read_settings(self) -> Config:
        """Read the root's own weaver.yaml. Raises SourceHeldError where it never was good."""
        async with self._turn:
            seen = await self._look({CONFIG_FILE}, at_manifests=False)
            self._agreed = {**self._agreed, **seen.stamps}
            return await self._configure(seen)

    async def read_commit(self, texts: Texts, refused: Iterable[FileResult] = ()) -> Gathered:
        """Read the commit that is followed, and beside it what is the host's own; all is kept.

        Of its weaver.yaml only `defaults` count: a branch opens no ports and runs no hooks of the
        host. What the host says there is in the root's own weaver.yaml; the env files are there
        too. Raises SourceHeldError where a weaver.yaml is wrong and there was no good one.
        """
        async with self._turn:
            await self._recall()
            seen = await self._look({CONFIG_FILE}, at_manifests=False)
            own = await self._configure(seen)
            found = ConfigResult(config=Config())
            if CONFIG_FILE in texts:
                found = await self._ask_config(texts[CONFIG_FILE])
            self._branch = found.config or self._branch
            if self._branch is None:
                raise _unusable(found)
            config = replace(own, defaults=self._branch.defaults)
            manifests = {path: data for path, data in texts.items() if path != CONFIG_FILE}
            keys = _keys(manifests, config)
            known = self._known | await self._ask_manifests(manifests, keys, config)
            await self._keep(keys, known)
            files = (*(known[key] for _, key in sorted(keys.items())), *refused)
            named = env_paths(files)
            env = await self._look(named, at_manifests=False)
            self._agreed = {**seen.stamps, **env.stamps}
            return Gathered(
                files=files,
                config=config,
                env_files={path: self._content(path) for path in sorted(named)},
                also=(*self._read_config.diagnostics, *found.diagnostics),
            )

    async def read_texts(self, texts: Texts, env_files: EnvFiles | None = None) -> Gathered:
        """Read the files of a revision, or as an edit leaves them; nothing of them is kept.

        Without a weaver.yaml among them there are no defaults. Env files are not looked at: those
        given count by their contents, others by their names.
        """
        async with self._turn:
            found = ConfigResult(config=Config())
            if CONFIG_FILE in texts:
                found = await self._ask_config(texts[CONFIG_FILE])
            config = found.config or Config()
            manifests = {path: data for path, data in texts.items() if path != CONFIG_FILE}
            keys = _keys(manifests, config)
            results = await self._ask_manifests(manifests, keys, config)
            return Gathered(
                files=tuple(results[keys[path]] for path in sorted(manifests)),
                config=config,
                env_files=env_files or {},
                also=found.diagnostics,
            )

    async def replay(self, texts: Texts, intents: Sequence[Intent]) -> Changes:
        """Give the files that intents change (see manifest/edit.py). Raises its WeaverError."""
        packed = tuple(PackedIntent.of(intent) for intent in intents)
        answer = await self._ask(Request(replay=Replay(texts=texts, intents=packed)))
        return answer.changes or {}

    async def split(self, path: str, data: bytes, *, must_be_valid: bool) -> Documents:
        """Give every service of a file with its text (see manifest/split.py)."""
        asked = Split(file=path, data=data, must_be_valid=must_be_valid)
        answer = await self._ask(Request(split=asked))
        return answer.documents or ()

    async def close(self) -> None:
        """End the worker process."""
        await self._worker.close()

    # --- looking ---------------------------------------------------------------------------

    async def _look_at_all(self) -> tuple[Look, Config]:
        """Look at weaver.yaml and the manifests; at all of these anew where defaults changed."""
        before = self._config
        seen = await self._look({CONFIG_FILE}, at_manifests=True)
        config = await self._configure(seen)
        if before is not None and before.defaults != config.defaults:
            self._agreed = {}
            seen = await self._look({CONFIG_FILE}, at_manifests=True)
            config = await self._configure(seen)
        return seen, config

    async def _look(self, others: Collection[str], *, at_manifests: bool) -> Look:
        """Look until two looks agree, and keep what small files hold."""
        agreed = {
            path: stamp
            for path, stamp in self._agreed.items()
            if path in others or (at_manifests and path in self._keys)
        }

        async def take() -> Look:
            return await asyncio.to_thread(
                look, self._root, others, agreed, at_manifests=at_manifests
            )

        seen = await settled(take, agreed, self._pause)
        self._small |= {path: seen.changed[path] for path in others if path in seen.changed}
        return seen

    def _content(self, path: str) -> bytes | None:
        content = self._small.get(path)
        return content if isinstance(content, bytes) else None

    # --- reading ---------------------------------------------------------------------------

    async def _configure(self, seen: Look) -> Config:
        """Give the settings in force: those of weaver.yaml, or while it is wrong the last ones."""
        if CONFIG_FILE in seen.changed:
            content = seen.changed[CONFIG_FILE]
            match content:
                case None:
                    self._read_config = ConfigResult(config=Config())
                case Diagnostic():
                    self._read_config = ConfigResult(diagnostics=(content,))
                case _:
                    self._read_config = await self._ask_config(content)
        self._config = self._read_config.config or self._config
        if self._config is None:
            raise _unusable(self._read_config)
        return self._config

    async def _read_manifests(self, seen: Look, config: Config) -> tuple[FileResult, ...]:
        """Give what every manifest says, reading only those not known by their bytes."""
        texts: dict[str, bytes] = {}
        faults = dict(seen.listing.faults)
        for path in seen.listing.manifests:
            content = seen.changed.get(path)
            if isinstance(content, bytes):
                texts[path] = content
            elif isinstance(content, Diagnostic):
                faults[path] = content
        keys = {path: key for path, key in self._keys.items() if path in seen.listing.manifests}
        keys |= _keys(texts, config)
        results = await self._ask_manifests(texts, keys, config)
        known = self._known | results
        for path, fault in faults.items():
            keys[path] = f"fault {path}"
            known[keys[path]] = _faulty(path, fault)
        await self._keep(keys, known)
        return tuple(known[key] for _, key in sorted(keys.items()))

    async def _keep(self, keys: dict[str, str], known: Mapping[str, FileResult]) -> None:
        """Remember what the manifests say now, and on disk too where it is something new."""
        now = {key: known[key] for key in keys.values()}
        is_new = now.keys() != self._known.keys()
        self._keys, self._known = keys, now
        if is_new and self._cache_folder is not None:
            lasting = {key: result for key, result in now.items() if not key.startswith("fault ")}
            await asyncio.to_thread(cache.save, self._cache_folder, lasting)

    async def _ask_manifests(
        self, texts: Texts, keys: Mapping[str, str], config: Config
    ) -> dict[str, FileResult]:
        """Give results by cache key, from memory or from the worker."""
        found = {keys[p]: self._known[keys[p]] for p in texts if keys[p] in self._known}
        unknown = [path for path in sorted(texts) if keys[path] not in found]
        asked = [Read(file=path, data=texts[path], config=config) for path in unknown]
        if asked:
            answers = await self._worker.ask([Request(read=one) for one in asked])
            for one, answer in zip(asked, answers, strict=True):
                result = answer.result if answer else None
                found[keys[one.file]] = result or _too_costly(one)
        return found

    async def _ask_config(self, data: bytes) -> ConfigResult:
        asked = Read(file=CONFIG_FILE, data=data)
        [answer] = await self._worker.ask([Request(read=asked)])
        return (answer and answer.config) or ConfigResult(diagnostics=(_cost_fault(CONFIG_FILE),))

    async def _ask(self, request: Request) -> Answer:
        [answer] = await self._worker.ask([request])
        if answer is None:
            raise ManifestError("cannot do this: it took more memory or time than it may")
        if answer.refusal is not None:
            raise answer.refusal.error
        return answer


def _unusable(found: ConfigResult) -> SourceHeldError:
    fault = found.diagnostics[0]
    return SourceHeldError(
        f"cannot use {CONFIG_FILE}: {fault.source}: {fault.code} {fault.message}",
        mend=fault.mend or f"mend {CONFIG_FILE}",
    )


def _keys(texts: Texts, config: Config) -> dict[str, str]:
    defaults = cache.defaults_id(config)
    return {path: cache.key_of(path, cache.blob_id(data), defaults) for path, data in texts.items()}


def _faulty(path: str, fault: Diagnostic) -> FileResult:
    return FileResult(file=path, diagnostics=(fault,), is_broken=True)


def _too_costly(asked: Read) -> FileResult:
    """Say that a file killed the worker; what it seems to define is frozen, not removed."""
    names = tuple(ServiceName(name) for name in seeming_names(asked.data))
    return replace(_faulty(asked.file, _cost_fault(asked.file)), seeming=names)


def _cost_fault(file: str) -> Diagnostic:
    return Diagnostic(
        source=Source(file=file),
        code=Code.TOO_COSTLY,
        message="reading this file took more memory or time than one file may",
        mend="make it a plain manifest of a few dozen lines",
    )
