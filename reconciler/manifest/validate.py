"""Say what a file's documents mean, or everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reconciler.manifest import addresses
from reconciler.manifest.build import build
from reconciler.manifest.codes import Code
from reconciler.manifest.config import Config, ConfigResult, configured
from reconciler.manifest.defaults import completed
from reconciler.manifest.faults import Fault, schema_faults
from reconciler.manifest.limits import MAX_FAULTS
from reconciler.manifest.meaning import meaning
from reconciler.manifest.nodes import ListNode, MapNode, Path, Scalar, find, find_key
from reconciler.manifest.parse import Document, ParsedFile
from reconciler.manifest.result import FileResult, Reading
from reconciler.manifest.rules import service_faults, settings_faults
from reconciler.manifest.schema import SERVICE, WEAVER, child, load
from reconciler.model.desired import Definition
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName

_NAME = re.compile(load(SERVICE)["properties"]["name"]["pattern"])
_NO_CONFIG = Config()


def check(parsed: ParsedFile, config: Config = _NO_CONFIG) -> FileResult:
    """Give what a file defines; its faults come all at once, in order of place."""
    readings: list[Reading] = []
    invalid: dict[ServiceName, tuple[Diagnostic, ...]] = {}
    found: list[Diagnostic] = list(parsed.faults)
    is_broken = bool(parsed.faults)
    for document in parsed.documents:
        value, diagnostics = _checked(parsed.file, document)
        found += diagnostics
        faults = tuple(sorted(fault for fault in diagnostics if not fault.is_warning))
        name = _name_of(value)
        if not faults and document.root is not None:
            readings.append(_reading(parsed.file, document.root, value, config))
        elif name is None:
            is_broken = True
        else:
            invalid[name] = invalid.get(name, ()) + faults
    return FileResult(
        file=parsed.file,
        readings=tuple(readings),
        invalid=invalid,
        seeming=tuple(ServiceName(name) for name in parsed.names),
        diagnostics=_listed(found),
        is_broken=is_broken,
    )


def check_config(parsed: ParsedFile) -> ConfigResult:
    """Give the settings of weaver.yaml; one that is empty or only comments sets nothing."""
    if not parsed.documents and all(fault.code == Code.EMPTY for fault in parsed.faults):
        return ConfigResult(config=_NO_CONFIG)
    document = parsed.documents[0] if len(parsed.documents) == 1 else None
    found = [*parsed.faults, *(document.faults if document else ())]
    if len(parsed.documents) > 1:
        place = Source(file=parsed.file, line=parsed.documents[1].line)
        message, mend = "weaver.yaml is one document", "put everything into the first"
        found.append(Diagnostic(source=place, code=Code.SYNTAX, message=message, mend=mend))
    value: dict[str, Any] = {}
    if document is not None and document.root is not None:
        schema = load(WEAVER)
        value = meaning(document.root, schema)
        faults = list(schema_faults(value, WEAVER, _written(document.root)))
        sound = _sound(value, faults)
        faults += settings_faults(sound)
        for key, default in (sound.get("defaults") or {}).items():
            one = {key: default}
            faults += (
                fault._replace(path=("defaults", *fault.path))
                for fault in service_faults(one, _lone(key))
            )
        found += _placed(parsed.file, document.root, faults)
    diagnostics = _listed(found)
    return ConfigResult(config=None if diagnostics else configured(value), diagnostics=diagnostics)


def _lone(key: str) -> Mapping[str, Any]:
    """Give the schema of a service of which only one key is known: nothing beside it counts."""
    beside = ("x-only-with", "x-only-beside")
    inner = {k: v for k, v in child(load(SERVICE), key).items() if k not in beside}
    return {"properties": {key: inner}, "additionalProperties": False}


def _checked(file: str, document: Document) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Give a document's meaning and what is wrong with it."""
    if document.root is None:
        return {}, list(document.faults)
    schema = load(SERVICE)
    value = meaning(document.root, schema)
    faults = list(schema_faults(value, SERVICE, _written(document.root)))
    faults += service_faults(_sound(value, faults), schema)
    told = {fault.source for fault in document.faults}
    placed = (found for found in _placed(file, document.root, faults) if found.source not in told)
    return value, [*document.faults, *placed]


def _written(root: MapNode) -> Callable[[Path], str | None]:
    """Give what finds a scalar as written."""

    def written(path: Path) -> str | None:
        node = find(root, path)
        return node.text if isinstance(node, Scalar) else None

    return written


def _sound(value: Any, faults: Iterable[Fault]) -> Any:
    """Put None where something does not fit the schema: the other rules leave that alone."""
    for fault in faults:
        if fault.path and fault.code != Code.MISSING_KEY:
            value = _without(value, fault.path)
    return value


def _without(value: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    inner = value[step] if rest and value is not None else None
    if isinstance(value, dict):
        return {**value, step: _without(inner, rest) if rest else None}
    if isinstance(value, list) and isinstance(step, int):
        new = _without(inner, rest) if rest else None
        return [*value[:step], new, *value[step + 1 :]]
    return None


def _placed(file: str, root: MapNode, faults: Iterable[Fault]) -> list[Diagnostic]:
    """Find the place of each fault; the same fault is told once."""
    return list(
        dict.fromkeys(
            Diagnostic(
                source=_place(file, root, fault),
                code=fault.code,
                message=fault.message,
                mend=fault.mend,
                is_warning=fault.is_warning,
            )
            for fault in faults
        )
    )


def _place(file: str, root: MapNode, fault: Fault) -> Source:
    path = fault.path
    node = find_key(root, path) if fault.at_key else find(root, path)
    while node is None and path:
        path = path[:-1]
        node = find(root, path)
    node = node or root
    return Source(file=file, line=node.line, column=node.column)


def _listed(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort diagnostics by place, and cut a list that nobody would read to its end."""
    listed = sorted(found)
    if len(listed) <= MAX_FAULTS:
        return tuple(listed)
    message = f"{len(listed) - MAX_FAULTS:,} more faults in this file"
    last = listed[MAX_FAULTS - 1].source
    more = Diagnostic(source=last, code=Code.MORE, message=message, mend="mend these first")
    return (*listed[:MAX_FAULTS], more)


def _name_of(value: Mapping[str, Any]) -> ServiceName | None:
    name = value.get("name")
    return ServiceName(name) if isinstance(name, str) and _NAME.fullmatch(name) else None


# --- valid documents -------------------------------------------------------------------------


def _reading(file: str, root: MapNode, value: dict[str, Any], config: Config) -> Reading:
    spec = build(completed(value, config.defaults, load(SERVICE)) if config.defaults else value)
    key = root.key("name") or root
    place = Source(file=file, line=key.line, column=key.column)
    return Reading(definition=Definition(spec=spec, source=place), places=_places(file, root, spec))


def _places(file: str, root: MapNode, spec: ServiceSpec) -> dict[str, Source]:
    """Note where needs and env files are named: other files may make them wrong."""
    places = {}
    for key, wanted in (
        ("dependsOn", {n.service for n in spec.needs}),
        ("envFile", spec.env_file),
        ("reloadOn", spec.reload_on),
    ):
        node = root.get(key)
        named = [node] if isinstance(node, Scalar) else []
        if isinstance(node, MapNode):
            named = [pair.key for pair in node.pairs]
        elif node is not None and not isinstance(node, Scalar):
            named = [item for item in node.items if isinstance(item, Scalar)]
        for item in named:
            if item.text in wanted:
                places[f"{key}.{item.text}"] = Source(file=file, line=item.line, column=item.column)
    places |= _listening(file, root)
    return places


def _listening(file: str, root: MapNode) -> dict[str, Source]:
    """Note where the addresses are named that a service listens on."""
    places, sockets, port = {}, root.get("sockets"), root.get("port")
    for item in sockets.items if isinstance(sockets, ListNode) else ():
        listen = item.get("listen") if isinstance(item, MapNode) else None
        if isinstance(listen, Scalar):
            place = Source(file=file, line=listen.line, column=listen.column)
            places[f"sockets.{addresses.read(listen.text)}"] = place
    if isinstance(port, Scalar):
        places["port"] = Source(file=file, line=port.line, column=port.column)
    return places
