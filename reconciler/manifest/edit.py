"""Replay intents on the texts of manifests; bytes that no intent is about stay as they are.

Every edit is checked by reading its result: it must mean exactly what was wanted, or nothing is
changed at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from reconciler.manifest import splice
from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.manifest.naming import FOLDER, is_manifest
from reconciler.manifest.nodes import MapNode
from reconciler.manifest.parse import Document, ParsedFile, parse
from reconciler.manifest.render import style_of
from reconciler.manifest.schema import SERVICE, load
from reconciler.manifest.splice import LayoutError, Sheet
from reconciler.manifest.split import spans
from reconciler.manifest.text import seeming_names
from reconciler.manifest.values import with_value, without
from reconciler.manifest.wanted import Wanted, comparable
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import ConflictError, ManifestError, NotFoundError
from reconciler.model.units import ServiceName

Files = Mapping[str, bytes]
_BOM = b"\xef\xbb\xbf"


def replay(files: Files, intents: Iterable[Intent]) -> dict[str, bytes | None]:
    """Give the files that the intents change: new bytes, or None where a file is to go.

    Raises NotFoundError, ManifestError or ConflictError; then nothing is changed.
    """
    now = dict(files)
    for intent in intents:
        for path, data in _step(now, intent).items():
            if data is None:
                del now[path]
            else:
                now[path] = data
    changed = {path: data for path, data in now.items() if files.get(path) != data}
    return {**changed, **{path: None for path in files if path not in now}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Home:
    """The document that defines a service, in its file."""

    path: str
    data: bytes
    parsed: ParsedFile
    index: int

    @property
    def document(self) -> Document:
        return self.parsed.documents[self.index]

    @property
    def root(self) -> MapNode:
        assert self.document.root is not None
        return self.document.root


def _step(files: Files, intent: Intent) -> dict[str, bytes | None]:
    home = _find(files, intent.service)
    match intent:
        case SetField(path=path):
            if path == ("name",):
                raise ManifestError(
                    f"cannot rename {intent.service}: another name is another service",
                    mend="register the new name, then unregister the old one",
                )
            known = _known(home, intent.service)
            before = comparable(known.root, load(SERVICE))
            after = with_value(before, path, intent.value, load(SERVICE))
            return _edited(known, Wanted(value=after))
        case RemoveField(path=path):
            known = _known(home, intent.service)
            return _edited(known, Wanted(value=without(_meaning(known), path)))
        case PutService(text=text):
            wanted = _new_document(intent.service, text)
            if home is None:
                return _added(files, intent.service, wanted.text)
            return _replaced(home, wanted) if intent.verbatim else _edited(home, wanted)
        case RemoveService():
            return _removed(_known(home, intent.service))
        case unreachable:
            assert_never(unreachable)


def _meaning(home: _Home) -> Any:
    return comparable(home.root, load(SERVICE))


# --- finding ---------------------------------------------------------------------------------


def _find(files: Files, service: ServiceName) -> _Home | None:
    """Find the one document that defines a service."""
    homes: list[_Home] = []
    unread: list[ParsedFile] = []
    for path in sorted(files):
        if not is_manifest(path) or service.encode() not in files[path]:
            continue
        parsed = parse(path, files[path])
        if parsed.faults and service in seeming_names(files[path]):
            unread.append(parsed)
        for index, document in enumerate(parsed.documents):
            name = document.root.get("name") if document.root else None
            if name is not None and getattr(name, "value", None) == service:
                homes.append(_Home(path=path, data=files[path], parsed=parsed, index=index))
    if len(homes) > 1:
        places = " and ".join(f"{home.path}:{home.document.line}" for home in homes)
        raise ConflictError(
            f"cannot change {service}: it is defined twice, in {places}",
            mend="delete one of the two, or give it another name",
        )
    if not homes and unread:
        raise _cannot_edit(service, unread[0].faults)
    if homes and homes[0].document.faults:
        raise _cannot_edit(service, homes[0].document.faults)
    return homes[0] if homes else None


def _known(home: _Home | None, service: ServiceName) -> _Home:
    if home is None:
        raise NotFoundError(
            f"cannot change {service}: no manifest defines it",
            mend="`weaver service list` shows what there is",
        )
    return home


def _cannot_edit(service: ServiceName, faults: tuple[Diagnostic, ...]) -> ManifestError:
    fault = faults[0]
    return ManifestError(
        f"cannot change {service}: {fault.source}: {fault.code} {fault.message}",
        mend=f"mend the file first: {fault.mend}" if fault.mend else "mend the file first",
        diagnostics=faults,
    )


def _new_document(service: ServiceName, text: str) -> Wanted:
    """Read the whole manifest that a service is to have."""
    whole = text if text.endswith("\n") else f"{text}\n"
    parsed = parse(f"{service}.yaml", whole.encode("utf-8", "surrogatepass"))
    faults = [*parsed.faults, *(fault for one in parsed.documents for fault in one.faults)]
    if faults:
        raise _cannot_edit(service, tuple(faults))
    root = parsed.documents[0].root
    if len(parsed.documents) != 1 or root is None:
        raise ManifestError(
            f"cannot change {service}: the new manifest is {len(parsed.documents)} documents",
            mend="give one document for each service",
        )
    value = comparable(root, load(SERVICE))
    if value.get("name") != service:
        raise ManifestError(
            f"cannot change {service}: the new manifest is of `{value.get('name')}`",
            mend=f"write `name: {service}`",
        )
    return Wanted(value=value, text=parsed.text, node=root)


# --- changing --------------------------------------------------------------------------------


def _edited(home: _Home, wanted: Wanted) -> dict[str, bytes | None]:
    """Change one document so that it means what is wanted; nothing where it does already."""
    before = _meaning(home)
    if before == wanted.value:
        return {}
    is_json = home.path.endswith(".json")
    style = style_of(home.parsed.text, home.root, is_json=is_json)
    sheet = Sheet(text=home.parsed.text, style=style)
    try:
        text = _spliced(home, wanted, sheet)
    except LayoutError as why:
        text = _round_tripped(home, wanted, sheet, before, why)
    return {home.path: _bom(home.data) + text.encode()}


def _spliced(home: _Home, wanted: Wanted, sheet: Sheet) -> str:
    pieces = splice.map_splices(sheet, home.root, wanted, load(SERVICE))
    text = splice.apply(sheet.text, pieces)
    try:
        return _checked(home, text, wanted)
    except LayoutError:
        if text.endswith("\n"):
            raise
    # A block text that ends with the file, and not with a line, means something else.
    return _checked(home, text + sheet.style.newline, wanted)


def _round_tripped(
    home: _Home, wanted: Wanted, sheet: Sheet, before: dict[str, Any], why: LayoutError
) -> str:
    """Have ruamel.yaml write the document, where its layout is not one that can be spliced."""
    from reconciler.manifest.roundtrip import rewrite

    document, text = home.document, sheet.text
    own = text[document.start : document.end]
    try:
        new = rewrite(own, wanted.value, before, sheet.style)
        return _checked(home, text[: document.start] + new + text[document.end :], wanted)
    except LayoutError as worse:
        name = wanted.value["name"]
        raise ManifestError(
            f"cannot change {name}: the layout of {home.path} is too unusual ({why}; {worse})",
            mend=f"change the file by hand: weaver edit {name}",
        ) from worse


def _checked(home: _Home, text: str, wanted: Wanted) -> str:
    """Give a text back if it means what it should, in this document and in the others."""
    parsed = parse(home.path, text.encode())
    faults = [*parsed.faults, *(fault for one in parsed.documents for fault in one.faults)]
    before = home.parsed.documents
    if len(parsed.documents) != len(before):
        raise LayoutError("documents came or went" if not faults else faults[0].message)
    for index, (old, new) in enumerate(zip(before, parsed.documents, strict=True)):
        value = wanted.value if index == home.index else _value(old)
        if _value(new) != value:
            raise LayoutError("the text does not say what was wanted")
    return text


def _value(document: Document) -> Any:
    return None if document.root is None else comparable(document.root, load(SERVICE))


def _added(files: Files, service: ServiceName, text: str) -> dict[str, bytes | None]:
    """Write a new service into a file of its own, or behind the others of a file by its name."""
    path = f"{FOLDER}/{service}.yaml"
    if path not in files:
        return {path: text.encode()}
    old = parse(path, files[path])
    if old.faults:
        raise _cannot_edit(service, old.faults)
    gap = "" if old.text.endswith("\n") else "\n"
    mark = "" if text.startswith("---") else "---\n"
    return {path: _bom(files[path]) + f"{old.text}{gap}{mark}{text}".encode()}


def _replaced(home: _Home, wanted: Wanted) -> dict[str, bytes | None]:
    """Put a new text in the place of a document's; its `---` stays."""
    begin, end = spans(home.parsed)[home.index]
    newline = "\r\n" if "\r\n" in home.parsed.text else "\n"
    new = wanted.text.replace("\r\n", "\n").replace("\n", newline)
    mark = f"---{newline}"
    if home.parsed.text.startswith(mark, begin) and not new.startswith("---"):
        new = mark + new
    text = home.parsed.text[:begin] + new + home.parsed.text[end:]
    try:
        return {home.path: _bom(home.data) + _checked(home, text, wanted).encode()}
    except LayoutError as why:
        raise ManifestError(f"cannot change {wanted.value['name']}: {why}") from why


def _removed(home: _Home) -> dict[str, bytes | None]:
    """Take a document out of its file, and the file away when it was the last one."""
    documents = home.parsed.documents
    if len(documents) == 1:
        return {home.path: None}
    text, end = home.parsed.text, spans(home.parsed)[home.index][1]
    left = text[: home.document.start] + text[end:]
    return {home.path: _bom(home.data) + left.encode()}


def _bom(data: bytes) -> bytes:
    return _BOM if data.startswith(_BOM) else b""
