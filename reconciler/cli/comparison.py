"""Compare manifests with no daemon: two revisions, the saved files, or files from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.cli.reading import documents
from reconciler.manifest.edit import replay
from reconciler.manifest.intent import PutService
from reconciler.manifest.parse import parse
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.units import ServiceName
from reconciler.runtime.messages import Preview

if TYPE_CHECKING:
    from reconciler.app.offline import Offline, Snapshot


def compared(reader: Offline, span: str | None, *, staged: bool, paths: Sequence[str]) -> Preview:
    """Compare as the command line says; without a word, the saved files against HEAD."""
    found = reader.span(span) if span else None
    head = _head(reader, found.head if found else "", staged=staged, paths=paths)
    if found is None:
        base = reader.saved() if paths else reader.at("HEAD")
        preview = reader.preview(base, head)
        return replace(preview, if_revision=preview.base.commit) if paths else preview
    base = reader.at(found.base)
    preview = replace(reader.preview(base, head), if_revision=found.tip)
    if found.tip == found.base:
        return preview
    return replace(preview, moved=reader.moved(base, reader.at(found.tip), preview))


def _head(reader: Offline, name: str, *, staged: bool, paths: Sequence[str]) -> Snapshot:
    """Read what is to be judged."""
    if name and (staged or paths):
        raise CommandError(
            "a revision, --staged and -f all say what is to be judged: give one of them",
            mend="weaver diff BASE --staged, or weaver diff BASE -f FILE",
            code=exits.USAGE,
        )
    if name:
        return reader.at(name)
    if staged:
        return reader.staged()
    return _applied(reader, paths) if paths else reader.saved()


def _applied(reader: Offline, paths: Sequence[str]) -> Snapshot:
    """Read the saved files as if manifests from elsewhere had been applied to them."""
    saved = reader.saved()
    intents = [put for path in paths for text in documents(path) for put in puts(text)]
    changed = replay(saved.texts, intents)
    return reader.given({path: data for path, data in changed.items() if data is not None})


def puts(document: dict[str, str]) -> Iterator[PutService]:
    """Give a wish for each service that a file defines; a CommandError where it is unreadable."""
    name = document.get("path", "(standard input)")
    parsed = parse(name, document["text"].encode())
    if parsed.faults:
        raise _unreadable(name, parsed.faults)
    for one in parsed.documents:
        found = one.root.get("name") if one.root else None
        service = getattr(found, "text", "")
        if one.faults or not service:
            raise _unreadable(name, one.faults)
        yield PutService(service=ServiceName(service), text=parsed.text[one.start : one.end])


def _unreadable(name: str, faults: Sequence[Diagnostic]) -> CommandError:
    """Say what is wrong with a file from elsewhere."""
    return CommandError(
        f"cannot read {Path(name)} as manifests" + ("" if faults else ": a service has no name"),
        details=[str(fault) for fault in faults],
        mend="weaver validate FILE shows everything that is wrong",
        code=exits.USAGE,
    )
