"""The documents about services as such: the catalogue, the graph, what each uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.api.graph_text import Graph
from reconciler.api.wire.base import Document, Wire
from reconciler.core.graph import topological
from reconciler.model.spec import Need
from reconciler.model.status import ServiceStatus
from reconciler.ports import Usage
from reconciler.runtime.control import Scene


class NeedKeys(Wire, frozen=True, kw_only=True):
    """One need of a service."""

    name: str
    condition: str
    on_restart: str
    required: bool


class CatalogueKeys(Wire, frozen=True, kw_only=True):
    """One service as its manifest says it."""

    name: str
    display_name: str
    description: str
    version: str
    labels: dict[str, str]
    file: str
    line: int
    desired: str | None
    instances: int
    needs: list[NeedKeys]
    needed_by: list[str]


class CatalogueDocument(Document, frozen=True, kw_only=True):
    """All services that manifests define."""

    services: list[CatalogueKeys]


class ManifestDocument(Document, frozen=True, kw_only=True):
    """One service of the catalogue, with the text of its manifest as saved."""

    service: CatalogueKeys
    text: str


class NodeKeys(Wire, frozen=True, kw_only=True):
    """One service in the graph."""

    name: str
    state: str | None
    """None where the service is needed and not defined."""
    needs: list[NeedKeys]


class GraphDocument(Document, frozen=True, kw_only=True):
    """Who needs whom."""

    nodes: list[NodeKeys]
    """In the order in which they start."""


class UsageKeys(Wire, frozen=True, kw_only=True):
    """What one instance uses now."""

    id: str
    pid: int | None
    cpu: float
    rss: int
    pss: int | None
    swap: int | None
    file_descriptors: int
    listening: list[str]


class ServiceUsageKeys(Wire, frozen=True, kw_only=True):
    """What one service uses now."""

    name: str
    instances: list[UsageKeys]


class UsageDocument(Document, frozen=True, kw_only=True):
    """What services use now."""

    services: list[ServiceUsageKeys]


def catalogue_keys(service: ServiceStatus) -> CatalogueKeys:
    """Write one service as its manifest says it."""
    spec = service.spec
    return CatalogueKeys(
        name=service.name,
        display_name=spec.display_name if spec else "",
        description=spec.description if spec else "",
        version=spec.version if spec else "",
        labels=dict(spec.labels) if spec else {},
        file=service.source.file,
        line=service.source.line,
        desired=service.desired,
        instances=spec.instances if spec else 0,
        needs=_needs(spec.needs if spec else ()),
        needed_by=list(service.needed_by),
    )


def graph_document(graph: Graph) -> GraphDocument:
    """Write the graph, in the order in which services start."""
    return GraphDocument(
        nodes=[
            NodeKeys(
                name=name,
                state=graph.states.get(name),
                needs=_needs(graph.needs[name]),
            )
            for name in topological(graph.edges)
        ]
    )


def usage_document(scene: Scene, services: Sequence[ServiceStatus]) -> UsageDocument:
    """Write what services use now; an instance that was not measured is left out."""
    return UsageDocument(
        services=[
            ServiceUsageKeys(
                name=service.name,
                instances=[
                    _usage(str(slot.slot), slot.process.id.pid if slot.process else None, used)
                    for slot in service.slots
                    if (used := scene.usage.get(slot.slot)) is not None
                ],
            )
            for service in services
        ]
    )


def _needs(needs: Iterable[Need]) -> list[NeedKeys]:
    """Write needs."""
    return [
        NeedKeys(
            name=need.service,
            condition=need.condition,
            on_restart=need.on_restart,
            required=need.required,
        )
        for need in needs
    ]


def _usage(instance: str, pid: int | None, used: Usage) -> UsageKeys:
    """Write what one instance uses."""
    return UsageKeys(
        id=instance,
        pid=pid,
        cpu=round(used.cpu_percent, 1),
        rss=used.rss,
        pss=used.pss,
        swap=used.swap,
        file_descriptors=used.file_descriptors,
        listening=list(used.listening),
    )
