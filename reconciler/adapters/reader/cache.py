"""Keep what files said, by their bytes, so that a restart of the daemon parses nothing again.

A key is git's blob id with the path and the defaults that were in force: the same bytes under
another name have their faults at another place. The file may be deleted at any time; one that is
damaged or another version's is ignored.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import reconciler
from reconciler.manifest.codec import CodecError, decode, encode
from reconciler.manifest.config import Config
from reconciler.manifest.pipe import share
from reconciler.manifest.result import FileResult
from reconciler.manifest.schema import SERVICE, schema_bytes

FILE_NAME = "manifests.json"
MAX_CACHE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """The cache's file."""

    fingerprint: str
    results: Mapping[str, FileResult]


def blob_id(data: bytes) -> str:
    """Give the id that git has for these bytes.

    >>> blob_id(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def defaults_id(config: Config) -> str:
    """Give a short id of the defaults that complete every manifest."""
    return hashlib.sha256(encode(config.defaults)).hexdigest()[:16]


def key_of(path: str, blob: str, defaults: str) -> str:
    """Give the key of what a file said."""
    return f"{blob} {defaults} {path}"


def load(folder: Path | None) -> dict[str, FileResult]:
    """Give what was kept; nothing where there is no cache, or none of this version."""
    if folder is None:
        return {}
    try:
        file = folder / FILE_NAME
        if file.stat().st_size > MAX_CACHE_BYTES:
            return {}
        stored = decode(file.read_bytes(), _Stored)
    except (OSError, CodecError):
        return {}
    if stored.fingerprint != _fingerprint():
        return {}
    for result in stored.results.values():
        share(result)
    return dict(stored.results)


def save(folder: Path, results: Mapping[str, FileResult]) -> None:
    """Write the cache whole, by a rename. A cache that cannot be written is no loss."""
    data = encode(_Stored(fingerprint=_fingerprint(), results=results))
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{FILE_NAME}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(name).replace(folder / FILE_NAME)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


@cache
def _fingerprint() -> str:
    """Name this version of the reader: its code, its schema, its model."""
    package = Path(reconciler.__file__).parent
    parts: Iterable[Path] = sorted((package / "manifest").glob("*.py"))
    found = hashlib.sha256(reconciler.__version__.encode() + schema_bytes(SERVICE))
    for file in (*parts, package / "model" / "spec.py"):
        about = file.stat()
        found.update(f"{file.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return found.hexdigest()
