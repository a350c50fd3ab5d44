"""Find a service's own document in files that may hold several."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from reconciler.manifest.nodes import Scalar
from reconciler.manifest.parse import parse
from reconciler.model.units import ServiceName

_CACHED_FILES = 4096


def documents_of(path: str, data: bytes) -> Mapping[ServiceName, str]:
    """Give the text of each document by the service that it names; none of a broken file."""
    return _documents(path, data)


@lru_cache(maxsize=_CACHED_FILES)
def _documents(path: str, data: bytes) -> Mapping[ServiceName, str]:
    parsed = parse(path, data)
    named: dict[ServiceName, str] = {}
    for document in parsed.documents:
        name = document.root.get("name") if document.root else None
        if isinstance(name, Scalar) and isinstance(name.value, str):
            text = parsed.text[document.start : document.end]
            named[ServiceName(name.value)] = text.removeprefix("---").strip() + "\n"
    return named


def document_of(files: Mapping[str, bytes], service: ServiceName) -> str | None:
    """Give a service's document, wherever it is; None where no file defines it."""
    mark = service.encode()
    for path in sorted(files):
        if mark in files[path] and (text := documents_of(path, files[path]).get(service)):
            return text
    return None


def is_readable(path: str, data: bytes) -> bool:
    """Tell whether a text is one that manifests can be read from."""
    return not parse(path, data).faults
