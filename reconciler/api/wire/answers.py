"""The smaller documents: problems, the catalogue, the graph, reasons, findings, settings, usage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciler.api.graph_text import Graph
from reconciler.api.wire.base import Document, FaultKeys, Wire, fault_keys
from reconciler.core.graph import topological
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.status import ServiceStatus
from reconciler.model.units import ServiceName
from reconciler.ports import Usage
from reconciler.runtime.control import Finding, Grade, Reason, Scene, Setting, WaitResult
from reconciler.runtime.control import Surroundings as ServiceSurroundings


class ProblemDocument(Document, frozen=True, kw_only=True):
    """Why a request was refused or failed (RFC 9457), and the way out."""

    type: str
    """A URN that names the kind of problem."""
    title: str
    status: int
    detail: str
    mend: str
    request_id: str


class NeedKeys(Wire, frozen=True, kw_only=True):
    """One need of a service."""

    name: str
    condition: str
    on_restart: str


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


class ReasonKeys(Wire, frozen=True, kw_only=True):
    """One link of the chain that explains a state."""

    service: str
    state: str
    reason: str
    file: str | None
    depth: int


class WhyDocument(Document, frozen=True, kw_only=True):
    """Why a service is in its state, the service itself first."""

    service: str
    reasons: list[ReasonKeys]


class FindingKeys(Wire, frozen=True, kw_only=True):
    """One finding of the doctor; `grade` is `ok`, `warning` or `problem`."""

    check: str
    grade: str
    text: str
    mend: str


class DoctorDocument(Document, frozen=True, kw_only=True):
    """What is wrong with this set-up, and what is right."""

    findings: list[FindingKeys]


class SettingKeys(Wire, frozen=True, kw_only=True):
    """One effective value of weaver.yaml."""

    path: str
    value: str
    default: bool


class ConfigDocument(Document, frozen=True, kw_only=True):
    """The effective weaver.yaml."""

    settings: list[SettingKeys]


class MissingKeys(Wire, frozen=True, kw_only=True):
    """A service that has not come so far, and why."""

    name: str
    reason: str


class WaitDocument(Document, frozen=True, kw_only=True):
    """How a wait ended."""

    reached: bool
    missing: list[MissingKeys]
    seconds: float


class EnvironmentDocument(Document, frozen=True, kw_only=True):
    """Where and with which environment a service runs."""

    service: str
    cwd: str
    env: dict[str, str]


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


class ValidateDocument(Document, frozen=True, kw_only=True):
    """What a check of manifests found."""

    valid: bool
    files: list[str]
    services: list[str]
    errors: list[FaultKeys]
    warnings: list[FaultKeys]


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
        needs=_needs(service),
        needed_by=list(service.needed_by),
    )


def graph_document(graph: Graph) -> GraphDocument:
    """Write the graph, in the order in which services start."""
    return GraphDocument(
        nodes=[
            NodeKeys(
                name=name,
                state=graph.states.get(name),
                needs=[
                    NeedKeys(name=n.service, condition=n.condition, on_restart=n.on_restart)
                    for n in graph.needs[name]
                ],
            )
            for name in topological(graph.edges)
        ]
    )


def why_document(service: ServiceName, chain: Sequence[Reason]) -> WhyDocument:
    """Write the chain of reasons."""
    return WhyDocument(
        service=service,
        reasons=[
            ReasonKeys(
                service=link.service,
                state=link.state,
                reason=link.because,
                file=link.file or None,
                depth=link.depth,
            )
            for link in chain
        ],
    )


def doctor_document(findings: Sequence[Finding]) -> DoctorDocument:
    """Write findings; a problem makes the exit code 1."""
    return DoctorDocument(
        exit_code=doctor_exit_code(findings),
        findings=[
            FindingKeys(check=f.check, grade=f.grade, text=f.text, mend=f.mend) for f in findings
        ],
    )


def doctor_exit_code(findings: Sequence[Finding]) -> int:
    """Give 1 where some finding is a problem."""
    return int(any(finding.grade is Grade.PROBLEM for finding in findings))


def config_document(settings: Iterable[Setting]) -> ConfigDocument:
    """Write the effective weaver.yaml."""
    return ConfigDocument(
        settings=[SettingKeys(path=s.path, value=s.value, default=s.is_default) for s in settings]
    )


def wait_document(result: WaitResult) -> WaitDocument:
    """Write how a wait ended."""
    return WaitDocument(
        exit_code=result.exit_code,
        reached=result.exit_code == 0,
        missing=[MissingKeys(name=name, reason=why) for name, why in result.missing.items()],
        seconds=round(result.seconds, 3),
    )


def environment_document(found: ServiceSurroundings) -> EnvironmentDocument:
    """Write where and how a service runs."""
    return EnvironmentDocument(service=found.service, cwd=found.cwd, env=dict(found.env))


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


def validate_document(
    files: Collection[str], services: Collection[str], faults: Collection[Diagnostic]
) -> ValidateDocument:
    """Write what a check of manifests found; an error makes the exit code 2."""
    errors = [fault for fault in faults if not fault.is_warning]
    warnings = [fault for fault in faults if fault.is_warning]
    return ValidateDocument(
        exit_code=2 if errors else 0,
        valid=not errors,
        files=sorted(files),
        services=sorted(services),
        errors=fault_keys(errors),
        warnings=fault_keys(warnings),
    )


def _needs(service: ServiceStatus) -> list[NeedKeys]:
    """Write a service's needs."""
    needs = service.spec.needs if service.spec else ()
    return [NeedKeys(name=n.service, condition=n.condition, on_restart=n.on_restart) for n in needs]


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
