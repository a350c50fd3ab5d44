"""Read manifests in this very process, once: for commands that need no daemon."""

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

Known = Mapping[str, FileResult]


def read_saved(root: str, cache_folder: Path | None = None) -> Gathered:
    """Read everything as saved. Raises SourceHeldError where there is no services.d."""
    seen = look(root, {CONFIG_FILE}, {}, at_manifests=True)
    texts = {path: data for path, data in seen.changed.items() if isinstance(data, bytes)}
    faults = {path: fault for path, fault in seen.changed.items() if isinstance(fault, Diagnostic)}
    found = read_texts(texts, cache_folder)
    broken = tuple(
        FileResult(file=path, diagnostics=(fault,), is_broken=True)
        for path, fault in sorted({**faults, **seen.listing.faults}.items())
        if path != CONFIG_FILE
    )
    settings = (faults[CONFIG_FILE],) if CONFIG_FILE in faults else ()
    env = look(root, env_paths(found.files), {}, at_manifests=False).changed
    return Gathered(
        files=(*found.files, *broken),
        config=found.config,
        env_files={p: data if isinstance(data, bytes) else None for p, data in env.items()},
        also=(*found.also, *settings, *seen.listing.warnings),
    )


def read_texts(texts: Mapping[str, bytes], cache_folder: Path | None = None) -> Gathered:
    """Read the files of a revision: manifests by path, and weaver.yaml where it has one.

    What the daemon's cache knows is taken from there; nothing is written to it. While weaver.yaml
    is wrong, manifests are read without defaults, so that their own faults are told as well.
    """
    known = cache.load(cache_folder)
    settings = ConfigResult(config=Config())
    if CONFIG_FILE in texts:
        from reconciler.manifest.read import read_config

        settings = read_config(CONFIG_FILE, texts[CONFIG_FILE])
    config = settings.config or Config()
    with _no_collection():
        files = tuple(
            _read(path, texts[path], config, known) for path in sorted(texts) if path != CONFIG_FILE
        )
    return Gathered(files=files, config=config, also=settings.diagnostics)


def _read(path: str, data: bytes, config: Config, known: Known) -> FileResult:
    key = cache.key_of(path, cache.blob_id(data), cache.defaults_id(config)) if known else ""
    if key in known:
        return known[key]
    from reconciler.manifest.read import read_manifest

    return read_manifest(path, data, config)


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
