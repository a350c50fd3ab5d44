"""Read the bytes of a manifest into document trees with places, within fixed limits.

Nothing is composed before the limits were checked, tags and aliases are refused, and every
exception around one file becomes a diagnostic of that file. What a document means is no concern
of this module; see validate.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.manifest.codes import Code
from reconciler.manifest.compose import Composer, Document, LimitError, empty
from reconciler.manifest.events import SyntaxFaultError
from reconciler.manifest.syntax import explain
from reconciler.manifest.text import decode, seeming_names
from reconciler.model.diagnostic import Diagnostic, Source

__all__ = ["Document", "ParsedFile", "parse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFile:
    """A file as read; `faults` are those that make it unreadable as a whole."""

    file: str
    text: str = ""
    documents: tuple[Document, ...] = ()
    faults: tuple[Diagnostic, ...] = ()
    names: tuple[str, ...] = ()
    """Of services that an unreadable file seems to define."""


def parse(file: str, data: bytes) -> ParsedFile:
    """Read one file. Never raises, whatever the bytes are."""
    text = decode(file, data)
    if isinstance(text, Diagnostic):
        return ParsedFile(file=file, faults=(text,), names=seeming_names(data))
    composer = Composer(file, text)
    fault = _read(file, text, composer)
    if fault is not None:
        faults = (*composer.faults, fault)
        return ParsedFile(file=file, text=text, faults=faults, names=seeming_names(data))
    if not composer.documents:
        return ParsedFile(file=file, text=text, faults=(empty(Source(file=file)),))
    return ParsedFile(file=file, text=text, documents=tuple(composer.documents))


def _read(file: str, text: str, composer: Composer) -> Diagnostic | None:
    """Read all documents and give the fault that made an end of it, if any."""
    try:
        composer.read()
    except SyntaxFaultError as why:
        return explain(file, text, why)
    except LimitError as why:
        return why.diagnostic
    except Exception as why:  # noqa: BLE001 - whatever one file does, the others are read
        return Diagnostic(
            source=Source(file=file),
            code=Code.SYNTAX,
            message=f"cannot read this file: {type(why).__name__}: {str(why)[:200]}",
        )
    return None
