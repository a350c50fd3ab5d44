"""Short ways to say what a manifest holds, for the tests of the core."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from reconciler.model.desired import Definition, ManifestSet, Revision
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.observed import Slot
from reconciler.model.spec import (
    Backoff,
    Condition,
    DesiredState,
    Need,
    OnRestart,
    Readiness,
    ReadyType,
    RestartPolicy,
    ServiceSpec,
    ServiceType,
    TcpTarget,
)
from reconciler.model.units import Digest, Nanos, ServiceName

STOPPED = DesiredState.STOPPED
STEADY = Backoff(jitter=Nanos(0))
"""The default back-off without luck: 1 s, 2 s, 4 s ... 60 s."""
TCP = Readiness(type=ReadyType.TCP, tcp=TcpTarget(port=80))


def name(text: str) -> ServiceName:
    return ServiceName(text)


def slot(service: str, index: int = 0) -> Slot:
    return Slot(service=name(service), index=index)


def service(text: str, *needs: str | Need, edition: int = 1, **others: Any) -> ServiceSpec:
    """Give a service; `edition` stands for everything that reaches its process."""
    made = tuple(need if isinstance(need, Need) else Need(service=name(need)) for need in needs)
    spec = ServiceSpec(
        name=name(text),
        digest=Digest(f"{text}@{edition}"),
        command=("run",),
        needs=made,
        backoff=STEADY,
    )
    return replace(spec, **others)


def probed(text: str, *needs: str | Need, **fields: Any) -> ServiceSpec:
    """Give a service that is ready once a probe says so."""
    return service(text, *needs, ready=TCP, **fields)


def oneshot(text: str, *needs: str | Need, **fields: Any) -> ServiceSpec:
    return service(
        text,
        *needs,
        **{"type": ServiceType.ONESHOT, "restart": RestartPolicy.ON_FAILURE, **fields},
    )


def need(
    text: str,
    condition: Condition = Condition.READY,
    on_restart: OnRestart = OnRestart.NONE,
) -> Need:
    return Need(service=name(text), condition=condition, on_restart=on_restart)


def follows(text: str) -> Need:
    """Give a need whose restarts its dependent goes through as well."""
    return need(text, on_restart=OnRestart.RESTART)


def place(spec: ServiceSpec | str, line: int = 1) -> Source:
    text = spec if isinstance(spec, str) else spec.name
    return Source(file=f"services.d/{text}.yaml", line=line)


def fault(text: str, message: str = "unknown key `prot`") -> Diagnostic:
    return Diagnostic(source=place(text, 3), code="W201", message=message, mend="")


def in_brief(spec: ServiceSpec) -> str:
    """Give a spec in words: its name, and the fields that are not as they usually are."""
    usual = service(spec.name)
    told = [
        f"{one.name}={getattr(spec, one.name)!r}"
        for one in fields(ServiceSpec)
        if getattr(spec, one.name) != getattr(usual, one.name)
    ]
    return f"{spec.name}({', '.join(told)})"


def manifests(
    *specs: ServiceSpec,
    invalid: Iterable[str] = (),
    broken: Iterable[str] = (),
    commit: str = "c1",
) -> ManifestSet:
    """Give what was read: valid services, names defined wrongly, and files that are no YAML."""
    faults = {text: fault(text) for text in (*invalid, *broken)}
    return ManifestSet(
        revision=Revision(commit=commit, branch="main"),
        definitions={spec.name: Definition(spec=spec, source=place(spec)) for spec in specs},
        invalid={name(text): (faults[text],) for text in invalid},
        broken_files={place(text).file: (faults[text],) for text in broken},
        diagnostics=tuple(sorted(faults.values())),
    )
