"""What all documents share: how they begin, how keys, times and spans are written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic

FORMAT_VERSION = "1.0"

_ENCODER = msgspec.json.Encoder()


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object; its keys are the fields' names in camelCase."""


class Document(Wire, frozen=True, kw_only=True):
    """A whole answer."""

    format_version: str = FORMAT_VERSION
    exit_code: int = 0


class RevisionKeys(Wire, frozen=True, kw_only=True):
    """A commit, and whether saved files differ from it."""

    commit: str | None
    """None before the first commit."""
    branch: str | None
    """None on a detached HEAD."""
    dirty: bool
    uncommitted: list[str]
    """Manifest files whose saved text is not that of the commit."""


class FaultKeys(Wire, frozen=True, kw_only=True):
    """One thing wrong with a manifest: where, what, and the mend."""

    file: str
    line: int
    column: int
    code: str
    message: str
    mend: str
    warning: bool


def document(content: Document) -> bytes:
    """Write a document as people and scripts get it: indented, with a last newline."""
    return msgspec.json.format(_encoded(content), indent=2) + b"\n"


def line(content: Wire) -> bytes:
    """Write one object of a stream on one line."""
    return _encoded(content) + b"\n"


def builtins(content: Wire) -> Any:
    """Give the same as plain dicts and lists, for formats other than JSON."""
    return msgspec.to_builtins(content)


def timestamp(at: float) -> str:
    """Write a moment (seconds since 1970) as RFC 3339 in UTC.

    >>> timestamp(1700000000.25)
    '2023-11-14T22:13:20.250Z'
    """
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def revision_keys(revision: Revision) -> RevisionKeys:
    """Write a revision."""
    return RevisionKeys(
        commit=revision.commit or None,
        branch=revision.branch or None,
        dirty=revision.is_dirty,
        uncommitted=list(revision.dirty),
    )


def fault_keys(faults: Sequence[Diagnostic]) -> list[FaultKeys]:
    """Write diagnostics, in order of place."""
    return [
        FaultKeys(
            file=fault.source.file,
            line=fault.source.line,
            column=fault.source.column,
            code=fault.code,
            message=fault.message,
            mend=fault.mend,
            warning=fault.is_warning,
        )
        for fault in sorted(faults)
    ]


def _encoded(content: Wire) -> bytes:
    """Encode; what cannot be written in UTF-8 (half of a surrogate pair) is replaced."""
    try:
        return _ENCODER.encode(content)
    except UnicodeEncodeError:
        return _ENCODER.encode(_writable(builtins(content)))


def _writable(value: Any) -> Any:
    """Replace what UTF-8 has no bytes for, in every text of a document."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_writable(item) for item in value]
    return value
