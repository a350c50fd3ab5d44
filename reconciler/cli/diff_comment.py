"""Write a diff as a comment for a pull request, in Markdown.

Its first line is a marker: whoever posts the comment looks for it, and edits the comment of last
time in place. Text of manifests is quoted, and can neither mention anybody nor begin markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.api.human import count, plain
from reconciler.cli import diff_words as words
from reconciler.cli.client import Json
from reconciler.cli.masking import without_words

MOST_MARKDOWN = 65_000
"""Bytes; forges take a little more as one comment."""
MOST_FIELDS = 100
"""Of one service; the rest is counted."""

_CUT = "\n*Cut off here: `weaver diff` shows the rest.*\n"


def markdown(document: Json) -> str:
    """Give a comment: how far it reaches, what would be done, and each field that differs."""
    return _within(MOST_MARKDOWN, _blocks(document))


def marker(folder: str) -> str:
    """Give the first line of the comment about the manifests in a folder of the repository.

    >>> marker(""), marker("deploy/")
    ('<!-- weaver diff -->', '<!-- weaver diff: deploy/ -->')
    """
    about = f": {_cell(folder)}" if folder else ""
    return f"<!-- weaver diff{about} -->"


def _blocks(document: Json) -> Iterator[str]:
    """Give the comment's parts, the weightiest first; each can be left out from the end."""
    yield f"{marker(document.get('folder', ''))}\n### weaver diff\n\n{words.counts(document)}\n"
    yield f"\n**{_cell(words.reach(document))}**\n"
    if moved := words.moved(document):
        yield f"\n**Warning:** {_cell(moved)}\n"
    if revision := document.get("ifRevision"):
        yield f"\nApply just this: {_code(f'--if-revision {revision}')}\n"
    yield from _faults(document["invalid"])
    changes = words.changes(document)
    if changes:
        yield "\n| # | service | would | because | processes |\n|---|---|---|---|---|\n"
    for change in changes:
        yield _row(change)
    for change in changes:
        if change["fields"]:
            yield _fold(change)


def _faults(faults: Iterable[Json]) -> Iterator[str]:
    """Give a list of what is invalid."""
    for number, fault in enumerate(faults):
        mend = f" ({_cell(fault['mend'])})" if fault["mend"] else ""
        said = _cell(without_words(fault["message"]))
        first = "" if number else "\n"
        yield f"{first}- **{_cell(words.place(fault))}** {_cell(fault['code'])} {said}{mend}\n"


def _row(change: Json) -> str:
    """Give what would be done to one service."""
    cells = (
        str(change["order"] or ""),
        _cell(change["service"]),
        _cell(words.would(change)),
        _cell(words.because(change)),
        str(change["processes"] or "none"),
    )
    return f"| {' | '.join(cells)} |\n"


def _fold(change: Json) -> str:
    """Give the fields of one service, folded away."""
    name, much = _cell(change["service"]), count(len(change["fields"]), "field")
    lines = [
        f"\n<details><summary>{name}: {much}</summary>",
        "",
        "| field | before | after | effect |",
        "|---|---|---|---|",
    ]
    for field in change["fields"][:MOST_FIELDS]:
        before, after = (_code(words.value(field, side)) for side in ("before", "after"))
        lines.append(f"| {_code(field['path'])} | {before} | {after} | {words.effect(field)} |")
    if len(change["fields"]) > MOST_FIELDS:
        lines.append(f"| {len(change['fields']) - MOST_FIELDS} more | | | |")
    return "\n".join([*lines, "", "</details>", ""])


def _cell(text: str) -> str:
    """Quote text for a cell of a Markdown table, where it may neither begin markup nor end it.

    >>> _cell("a|b <c> @team #1")
    'a&#124;b &lt;c&gt; &#64;team &#35;1'
    """
    marks = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    marks |= {char: f"&#{ord(char)};" for char in "|@#*[]!\\~"}
    return "".join(marks.get(char, char) for char in plain(text))


def _code(text: str | None) -> str:
    """Quote a value, in which a backquote is none either; nothing where there is none."""
    return "" if text is None else f"<code>{_cell(text).replace('`', '&#96;')}</code>"


def _within(most: int, blocks: Iterable[str]) -> str:
    """Join whole blocks as long as there is room, and say so where there was none."""
    kept: list[str] = []
    room = most - len(_CUT.encode())
    for block in blocks:
        room -= len(block.encode("utf-8", "replace"))
        if room < 0:
            return "".join([*kept, _CUT])
        kept.append(block)
    return "".join(kept)
