"""Say in plain words what the YAML parser found wrong, and how to mend it."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.manifest.codes import Code
from reconciler.manifest.events import SyntaxFaultError
from reconciler.manifest.tabs import tab_fault
from reconciler.model.diagnostic import Diagnostic, Source


class _Words(NamedTuple):
    message: str
    mend: str
    at_beginning: bool = False
    """Point at where the construct began instead of where the parser gave up."""


_QUOTE = "put the value in quotes"
_ALIGN = "align it with the lines it belongs to; use spaces"
_WORDS = {
    "mapping values are not allowed": _Words(
        "a second `: ` in one value, or a line that is indented too far", f"{_QUOTE}, or {_ALIGN}"
    ),
    "could not find expected ':'": _Words(
        "this is neither `key: value` nor part of a value", "add the `:`, or indent it", True
    ),
    "did not find expected key": _Words("the indentation does not fit the lines above", _ALIGN),
    "did not find expected '-'": _Words("a line in a list does not begin with `-`", _ALIGN),
    "did not find expected ',' or ']'": _Words(
        "the list that begins here is not closed", "add `,` between items and `]` at the end", True
    ),
    "did not find expected ',' or '}'": _Words(
        "the mapping that begins here is not closed",
        "add `,` between keys and `}` at the end",
        True,
    ),
    "found unexpected end of stream": _Words(
        "the quote that opens here is never closed", "add the closing quote", True
    ),
    "found unexpected document indicator": _Words(
        "the quote that opens here is never closed", "add the closing quote", True
    ),
    "found unknown escape character": _Words(
        "a backslash in double quotes begins an escape that does not exist",
        "write `\\\\` for a backslash, or use single quotes",
    ),
    "found invalid Unicode character escape code": _Words(
        "an escape that is no character", "write the character itself"
    ),
    "found unexpected ':'": _Words("a `:` between brackets, with no space behind it", _QUOTE),
    "did not find expected comment or line break": _Words(
        "text after the mark of a block text", "begin the text on the next line"
    ),
    "block sequence entries are not allowed": _Words(
        "a `- ` where no list can begin", "begin the list on the next line"
    ),
    "did not find expected node content": _Words(
        "a value is missing between two commas or brackets", "add it, or remove the comma"
    ),
    "did not find expected <document start>": _Words(
        "text after the end of the document", "separate documents by a line `---`"
    ),
}
_DIRECTIVES = ("found incompatible YAML document", "found unknown directive", "directive")
_MARKS = {"@": "keeps it for itself", "`": "keeps it for itself", "%": "takes it for a directive"}


def explain(file: str, text: str, fault: SyntaxFaultError) -> Diagnostic:
    """Give the diagnostic of a text that is not YAML."""
    place = _source(file, fault, at_beginning=False)
    if any(word in fault.problem or word in fault.context for word in _DIRECTIVES):
        message = "% directives are not allowed"
        return _diagnostic(place, message, "remove the line", Code.DIRECTIVE)
    if _is_about_a_tab(text, fault):
        return tab_fault(place)
    if "flow" in fault.context and fault.mark and not text[fault.mark.index :].strip():
        message = "the text ends before a bracket is closed"
        return _diagnostic(place, message, "add the missing `]` or `}`")
    if fault.problem.startswith("did not find expected key") and _is_mid_line(text, fault):
        message = f"`{_character(text, fault)}` does not belong to the value before it"
        return _diagnostic(place, message, "put the whole value in quotes, or remove this")
    for problem, words in _WORDS.items():
        if fault.problem.startswith(problem):
            at = _source(file, fault, at_beginning=words.at_beginning)
            return _diagnostic(at, words.message, words.mend)
    if fault.problem.startswith("found character that cannot start any token"):
        character = _character(text, fault)
        why = _MARKS.get(character, "gives it a meaning")
        return _diagnostic(place, f"no value can begin with `{character}`: YAML {why}", _QUOTE)
    context = f" {fault.context}" if fault.context else ""
    return _diagnostic(place, f"not YAML: {fault.problem}{context}", "")


def _is_about_a_tab(text: str, fault: SyntaxFaultError) -> bool:
    return "tab character" in fault.problem or (
        "cannot start any token" in fault.problem and _character(text, fault) == "\t"
    )


def _is_mid_line(text: str, fault: SyntaxFaultError) -> bool:
    """Tell whether something stands before the fault in its line."""
    if fault.mark is None:
        return False
    begin = text.rfind("\n", 0, fault.mark.index) + 1
    return bool(text[begin : fault.mark.index].strip())


def _character(text: str, fault: SyntaxFaultError) -> str:
    return text[fault.mark.index : fault.mark.index + 1] if fault.mark else ""


def _source(file: str, fault: SyntaxFaultError, *, at_beginning: bool) -> Source:
    mark = (fault.began or fault.mark) if at_beginning else (fault.mark or fault.began)
    if mark is None:
        return Source(file=file)
    return Source(file=file, line=mark.line + 1, column=mark.column + 1)


def _diagnostic(place: Source, message: str, mend: str, code: Code = Code.SYNTAX) -> Diagnostic:
    return Diagnostic(source=place, code=code, message=message, mend=mend)
