"""Write a diff for the places where changes are reviewed: comments, annotations, test reports.

Each form is made from the JSON document of `weaver diff`, so it is the same with and without a
daemon. Text of manifests is quoted for the form it is put into, and what is called like a secret
has no value in any of them: these forms are published.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from reconciler import __version__
from reconciler.api.human import plain
from reconciler.cli import diff_words as words
from reconciler.cli.client import Json
from reconciler.cli.diff_comment import markdown

HELD = "held"
MOVED = "moved"
"""Rules of the SARIF log, beside the codes of faults."""


def github(document: Json) -> str:
    """Give workflow commands: GitHub shows them beside the lines they are about.

    It shows ten of each kind, so what says most comes first.
    """
    lines = []
    for fault in document["invalid"]:
        kind = "warning" if fault.get("warning") else "error"
        title = {"title": fault["code"]}
        lines.append(_command(kind, {**_where(fault), **title}, words.fault_text(fault)))
    said = f"{words.counts(document)}\n{words.reach(document)}"
    lines.append(_command("notice", {"title": "weaver diff"}, said))
    if moved := words.moved(document):
        lines.append(_command("warning", {"title": "weaver diff"}, moved))
    for change in words.changes(document):
        lines += _annotations(change)
    return "\n".join(lines) + "\n"


def sarif(document: Json) -> str:
    """Give a SARIF 2.1.0 log of what is invalid or held, for code scanning."""
    results = [*map(_result, document["invalid"]), *_remarks(document)]
    rules = sorted({result["ruleId"] for result in results})
    driver = {"name": "weaver", "version": __version__, "rules": [{"id": rule} for rule in rules]}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def junit(document: Json) -> str:
    """Give a JUnit report: a case for each service that would change, a failure for each fault.

    What a guard holds is a failure too; a warning is none.
    """
    cases = [_case(change) for change in words.changes(document)]
    cases += [_fault_case(fault) for fault in document["invalid"]]
    failures = sum(case.count("<failure ") for case in cases)
    head = f'name="weaver diff" tests="{len(cases)}" failures="{failures}"'
    notes = " ".join(filter(None, [words.reach(document), words.moved(document)]))
    last = f"  <system-out>{_text(notes)}</system-out>"
    body = "\n".join([f"<testsuite {head}>", *cases, last, "</testsuite>"])
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


FORMATS: Mapping[str, Callable[[Json], str]] = {
    "markdown": markdown,
    "github": github,
    "sarif": sarif,
    "junit": junit,
}


def _annotations(change: Json) -> Iterator[str]:
    """Give a command for each line on which a service changes; for the service where none does."""
    kind = "error" if change["heldBy"] else "notice"
    title = {"title": f"weaver: {change['service']}: {words.would(change)}"}
    lines: dict[tuple[Any, ...], list[Json]] = {}
    for field in sorted(change["fields"], key=words.rank):
        spot = field.get("place") or change.get("place") or {}
        lines.setdefault((spot.get("file"), spot.get("line")), []).append(field)
    because = words.because(change)
    if not lines:
        yield _command(kind, {**_where(change.get("place")), **title}, because)
    for fields in lines.values():
        where = _where(fields[0].get("place") or change.get("place"))
        said = "\n".join([because, *map(words.field_line, fields)])
        yield _command(kind, {**where, **title}, said)


def _where(place: Json | None) -> dict[str, Any]:
    """Give a place as GitHub's properties."""
    if not place:
        return {}
    return {"file": place["file"], "line": place["line"], "col": place["column"]}


def _command(kind: str, properties: Mapping[str, Any], text: str) -> str:
    """Write a workflow command, quoted as GitHub's runner reads it.

    >>> _command("error", {"file": "a,b", "line": 3}, "50% off")
    '::error file=a%2Cb,line=3::50%25 off'
    """
    marks = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
    more = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})
    said = ",".join(f"{key}={str(value).translate(more)}" for key, value in properties.items())
    return f"::{kind} {said}::{text.translate(marks)}"


def _result(fault: Json) -> Json:
    """Give one fault as SARIF has it."""
    level = "warning" if fault.get("warning") else "error"
    return _sarif_result(fault["code"], level, words.fault_text(fault), fault)


def _remarks(document: Json) -> Iterator[Json]:
    """Give what is held, and what the base branch has changed as well, as SARIF has them."""
    moved = set(document.get("moved") or ())
    for change in words.changes(document):
        name, place = plain(change["service"]), change.get("place")
        if change["heldBy"]:
            text = f"{name} is held: {words.because(change)}"
            yield _sarif_result(HELD, "error", text, place)
        if change["service"] in moved:
            text = f"{name} changed on the base branch as well"
            yield _sarif_result(MOVED, "warning", text, place)


def _sarif_result(rule: str, level: str, text: str, place: Json | None) -> Json:
    result: Json = {"ruleId": rule, "level": level, "message": {"text": text}}
    if place:
        region = {"startLine": place["line"], "startColumn": place["column"]}
        artifact = {"uri": quote(place["file"])}
        spot = {"physicalLocation": {"artifactLocation": artifact, "region": region}}
        result["locations"] = [spot]
    return result


def _case(change: Json) -> str:
    """Give the case of a service that would change, or is held."""
    said = "\n".join([words.because(change), *map(words.field_line, change["fields"])])
    if change["heldBy"]:
        inside = f'<failure message="held">{_text(said)}</failure>'
    else:
        inside = f"<system-out>{_text(said)}</system-out>"
    head = f"classname={_attribute(words.would(change))} name={_attribute(change['service'])}"
    return f"  <testcase {head}>{inside}</testcase>"


def _fault_case(fault: Json) -> str:
    """Give the case of a fault."""
    said = words.fault_text(fault)
    if fault.get("warning"):
        inside = f"<system-out>{_text(said)}</system-out>"
    else:
        inside = f"<failure message={_attribute(fault['message'])}>{_text(said)}</failure>"
    head = f"classname={_attribute(fault['code'])} name={_attribute(words.place(fault))}"
    return f"  <testcase {head}>{inside}</testcase>"


def _attribute(text: str) -> str:
    """Quote text as an XML attribute."""
    return quoteattr(plain(text))


def _text(text: str) -> str:
    """Quote text as XML, its lines kept."""
    return escape("\n".join(map(plain, text.split("\n"))))
