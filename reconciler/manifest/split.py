"""Take a file apart into the documents of its services."""

from __future__ import annotations

from reconciler.manifest.parse import ParsedFile, parse
from reconciler.manifest.validate import check
from reconciler.model.errors import ManifestError
from reconciler.model.units import ServiceName

_MARK = "---"


def split(file: str, data: bytes, *, must_be_valid: bool) -> tuple[tuple[ServiceName, str], ...]:
    """Give every service that a file defines with the text of its document, comments included.

    Raises ManifestError with all faults where one cannot be told apart, or, if asked, is invalid.
    """
    parsed = parse(file, data)
    result = check(parsed)
    if result.is_broken or (must_be_valid and result.faults):
        fault = result.faults[0]
        raise ManifestError(
            f"cannot use {file}: {fault.source}: {fault.code} {fault.message}",
            mend=fault.mend,
            diagnostics=result.diagnostics,
        )
    names = [document.root.get("name") if document.root else None for document in parsed.documents]
    found = []
    for name, (begin, end) in zip(names, spans(parsed), strict=True):
        found.append((ServiceName(str(getattr(name, "value", ""))), _bare(parsed.text[begin:end])))
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
