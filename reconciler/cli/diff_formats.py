"""Write a diff for the places where changes are reviewed: comments, annotations, test reports.

Each form is made from the JSON document of `weaver diff`, so it is the same with and without a
daemon. Text of manifests is quoted for the form it is put into.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from reconciler import __version__
from reconciler.api.human import count, plain
from reconciler.cli.client import Json

MOST_MARKDOWN = 65_000
"""What forges take as one comment."""

_COUNTED = ("start", "restart", "reload", "stop", "update", "held", "invalid", "unchanged")


def markdown(document: Json) -> str:
    """Give a comment for a pull request: what would be done, and each field that differs."""
    lines = ["### weaver diff", "", _counts(document), ""]
    changes = _changes(document)
    if changes:
        lines += ["| service | would | because |", "|---|---|---|"]
        lines += [
            f"| {_cell(change['service'])} | {_cell(_would(change))} | {_cell(_because(change))} |"
            for change in changes
        ]
        lines.append("")
    for change in changes:
        lines += _fold(change)
    for fault in document["invalid"]:
        place = f"{fault['file']}:{fault['line']}:{fault['column']}"
        mend = f" ({_cell(fault['mend'])})" if fault["mend"] else ""
        lines.append(f"- **{_cell(place)}** {fault['code']} {_cell(fault['message'])}{mend}")
    return _shortened("\n".join(lines).rstrip() + "\n")


def github(document: Json) -> str:
    """Give workflow commands: GitHub shows them beside the lines they are about."""
    lines = []
    for fault in document["invalid"]:
        where = {"file": fault["file"], "line": fault["line"], "col": fault["column"]}
        said = f"{fault['message']}\nmend: {fault['mend']}" if fault["mend"] else fault["message"]
        kind = "warning" if fault.get("warning") else "error"
        lines.append(_command(kind, {**where, "title": fault["code"]}, said))
    for change in _changes(document):
        title = {"title": f"weaver: {change['service']}"}
        lines.append(_command("notice", title, f"{_would(change)}: {_because(change)}"))
    lines.append(_command("notice", {"title": "weaver diff"}, _counts(document)))
    return "\n".join(lines) + "\n"


def sarif(document: Json) -> str:
    """Give a SARIF 2.1.0 log of what is invalid, for code scanning."""
    rules = sorted({fault["code"] for fault in document["invalid"]})
    driver = {"name": "weaver", "version": __version__, "rules": [{"id": rule} for rule in rules]}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "results": [_result(fault) for fault in document["invalid"]],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def junit(document: Json) -> str:
    """Give a JUnit report: a case for each service that would change, a failure for each fault."""
    cases = [
        f"  <testcase classname={_attribute(_would(change))} name={_attribute(change['service'])}>"
        f"<system-out>{_text(_because(change))}</system-out></testcase>"
        for change in _changes(document)
    ]
    for fault in document["invalid"]:
        place = f"{fault['file']}:{fault['line']}:{fault['column']}"
        cases.append(
            f"  <testcase classname={_attribute(fault['code'])} name={_attribute(place)}>"
            f"<failure message={_attribute(fault['message'])}>{_text(fault['mend'])}</failure>"
            "</testcase>"
        )
    head = f'tests="{len(cases)}" failures="{len(document["invalid"])}"'
    body = "\n".join([f'<testsuite name="weaver diff" {head}>', *cases, "</testsuite>"])
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


FORMATS: Mapping[str, Callable[[Json], str]] = {
    "markdown": markdown,
    "github": github,
    "sarif": sarif,
    "junit": junit,
}


def _changes(document: Json) -> list[Json]:
    """Give everything that would be done something about, or is held, drift included."""
    return [*document["changes"], *document["drift"]]


def _would(change: Json) -> str:
    """Say what would be done to a service."""
    actions = [action for action in change["actions"] if action != "none"]
    if change["heldBy"]:
        return "held"
    return " + ".join(actions) or "nothing"


def _because(change: Json) -> str:
    """Say why, or why not."""
    return plain(change["heldBy"] or change["reason"])


def _counts(document: Json) -> str:
    """Say in one line how much it is."""
    summary = document["summary"]
    parts = [f"{summary[word]} {word}" for word in _COUNTED if summary[word]]
    return ", ".join(parts) or "no services"


def _fold(change: Json) -> Iterator[str]:
    """Give the fields of one service, folded away."""
    if not change["fields"]:
        return
    name, much = _cell(change["service"]), count(len(change["fields"]), "field")
    yield f"<details><summary>{name}: {much}</summary>"
    yield ""
    yield "| field | before | after | effect |"
    yield "|---|---|---|---|"
    for field in change["fields"]:
        shown = [_code(field["path"]), _code(field["before"]), _code(field["after"])]
        yield f"| {' | '.join(shown)} | {field['effect']} |"
    yield ""
    yield "</details>"
    yield ""


def _cell(text: str) -> str:
    """Quote text for a cell of a Markdown table, where it may neither begin markup nor end it.

    >>> _cell("a|b <c> @team")
    'a&#124;b &lt;c&gt; &#64;team'
    """
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "@": "&#64;"}
    return "".join(marks.get(char, char) for char in plain(text))


def _code(text: str | None) -> str:
    """Quote a value; nothing where there is none."""
    return "" if text is None else f"<code>{_cell(text)}</code>"


def _shortened(text: str) -> str:
    """Cut a comment that is too long, and say so."""
    if len(text) <= MOST_MARKDOWN:
        return text
    kept = text[:MOST_MARKDOWN].rpartition("\n")[0]
    return f"{kept}\n\n*Cut off here: `weaver diff` shows the rest.*\n"


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
    region = {"startLine": fault["line"], "startColumn": fault["column"]}
    place = {"artifactLocation": {"uri": fault["file"]}, "region": region}
    text = f"{fault['message']} (mend: {fault['mend']})" if fault["mend"] else fault["message"]
    return {
        "ruleId": fault["code"],
        "level": "warning" if fault.get("warning") else "error",
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def _attribute(text: str) -> str:
    """Quote text as an XML attribute."""
    return quoteattr(plain(text))


def _text(text: str) -> str:
    """Quote text as XML."""
    return escape(plain(text))
