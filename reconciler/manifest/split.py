"""Take a file apart into the documents of its services."""

from __future__ import annotations

from reconciler.manifest.nodes import Scalar
from reconciler.manifest.parse import ParsedFile, parse
from reconciler.manifest.validate import check
from reconciler.model.errors import ManifestError
from reconciler.model.units import ServiceName

_MARK = "---"


def split(file: str, data: bytes, *, must_be_valid: bool) -> tuple[tuple[ServiceName, str], ...]:
    """Give every service that a file defines with the text of its document, comments included.

    Raises ManifestError with all faults where the documents cannot be told apart or, if asked,
    where anything in them is invalid.
    """
    parsed = parse(file, data)
    faults = check(parsed).diagnostics if must_be_valid else parsed.faults
    if any(not fault.is_warning for fault in faults):
        raise ManifestError(
            f"cannot use {file}: it is not valid",
            mend="mend what is named; nothing was written",
            diagnostics=faults,
        )
    found = []
    for document, (begin, end) in zip(parsed.documents, spans(parsed), strict=True):
        name = document.root.get("name") if document.root else None
        if isinstance(name, Scalar):
            found.append((ServiceName(str(name.value)), _bare(parsed.text[begin:end])))
    twice = sorted({name for name, _ in found if [other for other, _ in found].count(name) > 1})
    if twice and must_be_valid:
        raise ManifestError(
            f"cannot use {file}: it defines {', '.join(twice)} twice", mend="keep one of them"
        )
    return tuple(found)


def spans(parsed: ParsedFile) -> list[tuple[int, int]]:
    """Give where each document's text begins and ends: comments above the first are its own."""
    begins = [0, *(document.start for document in parsed.documents[1:])]
    return list(zip(begins, [*begins[1:], len(parsed.text)], strict=True))


def _bare(text: str) -> str:
    """Leave out the `---` that a document begins with, if it stands alone in its line."""
    first, newline, rest = text.partition("\n")
    return rest if newline and first.rstrip("\r") == _MARK else text
