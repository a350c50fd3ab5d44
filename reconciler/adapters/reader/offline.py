"""Read manifests in this very process: for commands that need no daemon."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from reconciler.adapters.reader import cache
from reconciler.adapters.reader.gathered import Gathered, env_paths
from reconciler.adapters.reader.looks import look
from reconciler.manifest.config import CONFIG_FILE, Config, ConfigResult
from reconciler.manifest.result import FileResult
from reconciler.model.diagnostic import Diagnostic


class OfflineReader:
    """Reads what is saved, and the texts of any revision; every text only once.

    What a cache knows is taken from there; nothing is written to it but by `save`.
    """

    def __init__(self, root: str, cache_folder: Path | None = None) -> None:
        self._root = root
        self._cache_folder = cache_folder
        self._known = cache.load(cache_folder)
        self._used: set[str] = set()
        self._is_fuller = False

    def save(self) -> None:
        """Keep what was read in the cache, where any of it is news; what was not is dropped."""
        if self._cache_folder is not None and self._is_fuller:
            used = {key: found for key, found in self._known.items() if key in self._used}
            cache.save(self._cache_folder, used)

    def read_saved(self) -> Gathered:
        """Read everything as saved. Raises SourceHeldError where there is no services.d."""
        seen = look(self._root, {CONFIG_FILE}, {}, at_manifests=True)
        texts = {path: data for path, data in seen.changed.items() if isinstance(data, bytes)}
        faults = {path: why for path, why in seen.changed.items() if isinstance(why, Diagnostic)}
        found = self.read_texts(texts)
        broken = tuple(
            FileResult(file=path, diagnostics=(fault,), is_broken=True)
            for path, fault in sorted({**faults, **seen.listing.faults}.items())
            if path != CONFIG_FILE
        )
        settings = (faults[CONFIG_FILE],) if CONFIG_FILE in faults else ()
        env = look(self._root, env_paths(found.files), {}, at_manifests=False).changed
        return Gathered(
            files=(*found.files, *broken),
            config=found.config,
            env_files={p: data if isinstance(data, bytes) else None for p, data in env.items()},
            also=(*found.also, *settings, *seen.listing.warnings),
        )

    def read_texts(self, texts: Mapping[str, bytes]) -> Gathered:
        """Read the files of a revision: manifests by path, and weaver.yaml where it has one.

        While weaver.yaml is wrong, manifests are read without defaults, so that their own faults
        are told as well.
        """
        settings = ConfigResult(config=Config())
        if CONFIG_FILE in texts:
            from reconciler.manifest.read import read_config

            settings = read_config(CONFIG_FILE, texts[CONFIG_FILE])
        config = settings.config or Config()
        defaults = cache.defaults_id(config)
        with _no_collection():
            files = tuple(
                self._read(path, texts[path], config, defaults)
                for path in sorted(texts)
                if path != CONFIG_FILE
            )
        return Gathered(files=files, config=config, also=settings.diagnostics)

    def _read(self, path: str, data: bytes, config: Config, defaults: str) -> FileResult:
        key = cache.key_of(path, cache.blob_id(data), defaults)
        self._used.add(key)
        if key not in self._known:
            from reconciler.manifest.read import read_manifest

            self._is_fuller = True
            self._known[key] = read_manifest(path, data, config)
        return self._known[key]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Read without garbage collections: trees of a thousand files have no cycles to find."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
