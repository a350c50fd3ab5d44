"""Make trees of parser events, within limits. Faults are collected; only a limit stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from reconciler.manifest.codes import Code
from reconciler.manifest.events import events, kind
from reconciler.manifest.limits import MAX_DEPTH, MAX_NODES
from reconciler.manifest.nodes import ListNode, MapNode, Node, Pair, Scalar, Unfit
from reconciler.manifest.plain import resolve
from reconciler.manifest.tabs import stray_tabs
from reconciler.model.diagnostic import Diagnostic, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file."""

    root: MapNode | None
    """None where it is empty or no mapping."""
    line: int
    start: int
    """Where its `---` stands in the text, or its first node where it has none."""
    end: int
    """Behind its last character, a `...` included."""
    faults: tuple[Diagnostic, ...] = ()


class LimitError(Exception):
    """The file costs more than one file may."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def empty(place: Source) -> Diagnostic:
    """Say that there is no manifest where one should be."""
    return Diagnostic(
        source=place,
        code=Code.EMPTY,
        message="there is no manifest here: the text is empty, or only comments",
        mend="write a manifest (`weaver new` shows one), or delete the file",
    )


class Composer:
    """Makes trees of events; the one mutable thing here, and gone after one file."""

    def __init__(self, file: str, text: str) -> None:
        self.documents: list[Document] = []
        self._file = file
        self._text = text
        self._events: Iterator[Any] = events(text)
        self._nodes = 0
        self._opaque: list[tuple[int, int]] = []
        self._faults: list[Diagnostic] = []

    @property
    def faults(self) -> tuple[Diagnostic, ...]:
        """Give all faults so far, those of the document that was not finished included."""
        finished = (fault for document in self.documents for fault in document.faults)
        return (*finished, *self._faults)

    def read(self) -> None:
        """Read all documents.

        Raises SyntaxFaultError or LimitError at the first place that makes an end of it.
        """
        for event in self._events:
            if kind(event) == "DocumentStartEvent":
                self.documents.append(self._document(event))
                self._faults = []
        if "\t" in self._text and not self._file.endswith(".json"):
            self._refuse_tabs()

    def compose(self) -> Node:
        """Read one document and give its tree, whatever its top is."""
        for event in self._events:
            if kind(event) == "DocumentStartEvent":
                break
        return self._compose(next(self._events), 1)

    def _document(self, start: Any) -> Document:
        if start.version or start.tags:
            self._report(start, Code.DIRECTIVE, "% directives are not allowed", "remove the line")
        first = next(self._events)
        node = self._compose(first, 1)
        end = next(self._events)
        if isinstance(node, Scalar) and node.value is None and not node.text:
            self._faults.append(empty(self._source(start)))
        elif not isinstance(node, MapNode):
            found = "a list" if isinstance(node, ListNode) else "a single value"
            message = f"this is {found}, not a mapping of keys to values"
            self._report(first, Code.NOT_A_MAPPING, message, "write lines of `key: value`")
        return Document(
            root=node if isinstance(node, MapNode) else None,
            line=(start if start.start_mark.index < node.start else first).start_mark.line + 1,
            start=min(start.start_mark.index, node.start),
            end=max(end.end_mark.index, node.end),
            faults=tuple(self._faults),
        )

    def _refuse_tabs(self) -> None:
        """Give the tabs that are neither text nor comment to the documents they are in."""
        tabs = stray_tabs(self._file, self._text, self._opaque)
        begins = [document.line for document in self.documents[1:]]
        for number, end in enumerate([*begins, None]):
            document = self.documents[number]
            own = tuple(tab for tab in tabs if end is None or tab.source.line < end)
            tabs = tabs[len(own) :]
            self.documents[number] = replace(document, faults=(*document.faults, *own))

    # --- nodes -----------------------------------------------------------------------------

    def _compose(self, event: Any, depth: int) -> Node:
        self._count(event)
        name = kind(event)
        if name == "AliasEvent":
            self._refuse_sharing(event, "aliases")
            mark = event.start_mark
            end = event.end_mark.index
            return Scalar(Unfit("*"), "*", "", mark.line + 1, mark.column + 1, mark.index, end)
        if event.anchor is not None:
            self._refuse_sharing(event, "anchors")
        if event.tag is not None:
            message = f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed"
            self._report(event, Code.TAG, message, "remove it; quote the value if it is text")
        if name == "ScalarEvent":
            return self._scalar(event)
        if depth > MAX_DEPTH:
            message = f"collections are nested deeper than {MAX_DEPTH}"
            raise self._limit(event, Code.TOO_DEEP, message)
        return self._map(event, depth) if name == "MappingStartEvent" else self._list(event, depth)

    def _scalar(self, event: Any) -> Scalar:
        mark, end = event.start_mark, event.end_mark.index
        text, style = event.value, event.style or ""
        if style:
            self._opaque.append((mark.index, end))
            text = self._clean(event, text)
        value = text if style else resolve(text)
        return Scalar(value, text, style, mark.line + 1, mark.column + 1, mark.index, end)

    def _map(self, start: Any, depth: int) -> MapNode:
        pairs: list[Pair] = []
        seen: dict[str, Scalar] = {}
        for event in self._events:
            if kind(event) == "MappingEndEvent":
                break
            key = self._key(event, depth)
            value = self._compose(next(self._events), depth + 1)
            first = seen.setdefault(key.text, key)
            if first is not key:
                message = f"`{key.text}` is here twice; it is in line {first.line} already"
                self._report(event, Code.DUPLICATE_KEY, message, "remove one of the two")
                continue
            pairs.append(Pair(key, value))
        mark, is_flow = start.start_mark, self._is_flow(start)
        end = event.end_mark.index if is_flow else _end_of(pairs, mark.index)
        return MapNode(pairs, is_flow, mark.line + 1, mark.column + 1, mark.index, end)

    def _list(self, start: Any, depth: int) -> ListNode:
        items: list[Node] = []
        for event in self._events:
            if kind(event) == "SequenceEndEvent":
                break
            items.append(self._compose(event, depth + 1))
        mark, is_flow = start.start_mark, self._is_flow(start)
        end = event.end_mark.index if is_flow else max([mark.index, *(i.end for i in items[-1:])])
        return ListNode(items, is_flow, mark.line + 1, mark.column + 1, mark.index, end)

    def _key(self, event: Any, depth: int) -> Scalar:
        node = self._compose(event, depth + 1)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            return node
        if isinstance(node, Scalar):
            message = f"the key `{node.text or '(nothing)'}` is not text"
            self._report(event, Code.KEY_NOT_TEXT, message, f'write it in quotes: "{node.text}"')
            return node._replace(value=node.text)
        kinds = "mapping" if isinstance(node, MapNode) else "list"
        self._report(event, Code.KEY_NOT_TEXT, f"a key is a {kinds}, not text", "use a plain word")
        text = self._text[node.start : node.end]
        return Scalar(text, text, "", node.line, node.column, node.start, node.end)

    # --- faults ----------------------------------------------------------------------------

    def _is_flow(self, start: Any) -> bool:
        return self._text[start.start_mark.index : start.start_mark.index + 1] in ("{", "[")

    def _clean(self, event: Any, text: str) -> str:
        """Join surrogate pairs, and refuse what an escape may bring into a quoted text."""
        if "\0" in text:
            self._report(event, Code.CONTROL_CHARACTER, "NUL is not part of any text", "remove it")
            text = text.replace("\0", "")
        try:
            text.encode()
        except UnicodeEncodeError:
            joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            if "\ufffd" in joined and "\ufffd" not in text:
                message = "half of a surrogate pair is no character"
                self._report(event, Code.CONTROL_CHARACTER, message, "write the character itself")
            return joined
        return text

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            message = f"the file has more than {MAX_NODES:,} nodes"
            raise self._limit(event, Code.TOO_MANY_NODES, message)

    def _limit(self, event: Any, code: Code, message: str) -> LimitError:
        place = self._source(event)
        mend = "a manifest is a few dozen lines; split large ones over several files"
        return LimitError(Diagnostic(source=place, code=code, message=message, mend=mend))

    def _refuse_sharing(self, event: Any, what: str) -> None:
        mend = "write the value out; put it in quotes if it is text"
        self._report(event, Code.ALIAS, f"{what} are not allowed", mend)

    def _report(self, event: Any, code: Code, message: str, mend: str) -> None:
        place = self._source(event)
        self._faults.append(Diagnostic(source=place, code=code, message=message, mend=mend))

    def _source(self, event: Any) -> Source:
        mark = event.start_mark
        return Source(file=self._file, line=mark.line + 1, column=mark.column + 1)


def _end_of(pairs: list[Pair], start: int) -> int:
    """Give where a block mapping ends: the parser's own mark is at the next token."""
    if not pairs:
        return start
    return max(pairs[-1].key.end, pairs[-1].value.end)
