"""Find where a file says something: the line that a reviewer has to look at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reconciler.manifest.config import CONFIG_FILE
from reconciler.manifest.nodes import ListNode, MapNode, Node, Scalar
from reconciler.manifest.parse import ParsedFile, parse
from reconciler.model.diagnostic import Source
from reconciler.model.units import ServiceName

_STEP = re.compile(r'"([^"]*)"|([^.]+)')


class Places:
    """Where the fields of services stand in the files of one revision; each is parsed once."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts
        self._parsed: dict[str, ParsedFile] = {}

    def of(self, service: ServiceName, path: str, defined: Source) -> Source:
        """Give the place of a field, or of the nearest thing that is still there.

        What the service does not say itself may come from the defaults in weaver.yaml.
        """
        wanted = steps(path)
        for file, root in (
            (defined.file, self._document(defined.file, service)),
            (CONFIG_FILE, self._defaults()),
        ):
            if root is not None and (found := _nearest(root, wanted)) is not None:
                return Source(file=file, line=found.line, column=found.column)
        return defined

    def _document(self, file: str, service: ServiceName) -> MapNode | None:
        for document in self._file(file).documents:
            name = document.root.get("name") if document.root else None
            if isinstance(name, Scalar) and name.text == service:
                return document.root
        return None

    def _defaults(self) -> MapNode | None:
        documents = self._file(CONFIG_FILE).documents if CONFIG_FILE in self._texts else ()
        root = documents[0].root if documents else None
        found = root.get("defaults") if root else None
        return found if isinstance(found, MapNode) else None

    def _file(self, file: str) -> ParsedFile:
        if file not in self._parsed:
            self._parsed[file] = parse(file, self._texts.get(file, b""))
        return self._parsed[file]


def steps(path: str) -> tuple[str, ...]:
    """Take a field's path apart.

    >>> steps('labels."app.name"'), steps("env.PORT")
    (('labels', 'app.name'), ('env', 'PORT'))
    """
    return tuple(quoted or plain for quoted, plain in _STEP.findall(path))


def _nearest(root: Node, wanted: Sequence[str]) -> Scalar | None:
    """Follow a path as far as it goes, and give the last key or item on it."""
    node, last = root, None
    for step in wanted:
        found = _child(node, step)
        if found is None:
            break
        last, node = found
    return last


def _child(node: Node, step: str) -> tuple[Scalar, Node] | None:
    """Give what stands at a key, or the item of a list that is called so."""
    if isinstance(node, MapNode):
        return next(((key, value) for key, value in node.pairs if key.text == step), None)
    if isinstance(node, ListNode):
        named = (item for item in node.items if isinstance(item, Scalar) and item.text == step)
        return next(((item, item) for item in named), None)
    return None
