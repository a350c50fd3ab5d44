"""The smaller documents: problems, reasons, findings, settings, waits, checks of manifests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from reconciler.api.wire.base import Document, FaultKeys, Wire, fault_keys
from reconciler.core.launch import Account, Identity
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.units import ServiceName
from reconciler.runtime.control import Finding, Grade, Reason, Setting, WaitResult
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


class ReasonKeys(Wire, frozen=True, kw_only=True):
    """One link of the chain that explains a state."""

    service: str
    state: str
    reason: str
    file: str | None
    depth: int
    log_tail: list[str]
    """The last lines of one that crashed, its hooks' included."""


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


class LimitKeys(Wire, frozen=True, kw_only=True):
    """One resource limit: -1 is unlimited, null as it is."""

    soft: int | None
    hard: int | None


class IdentityKeys(Wire, frozen=True, kw_only=True):
    """Who a service is and what it may use."""

    uid: int
    gid: int
    groups: list[int]
    umask: str
    """In octal digits."""
    nice: int | None
    limits: dict[str, LimitKeys]
    no_new_privileges: bool


class EnvironmentDocument(Document, frozen=True, kw_only=True):
    """Where, with which environment and as whom a service runs."""

    service: str
    cwd: str
    env: dict[str, str]
    identity: IdentityKeys


class ValidateDocument(Document, frozen=True, kw_only=True):
    """What a check of manifests found."""

    valid: bool
    files: list[str]
    services: list[str]
    errors: list[FaultKeys]
    warnings: list[FaultKeys]


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
                log_tail=list(link.log_tail),
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
    return EnvironmentDocument(
        service=found.service,
        cwd=found.cwd,
        env=dict(found.env),
        identity=_identity_keys(found.account, found.identity),
    )


def _identity_keys(account: Account, found: Identity) -> IdentityKeys:
    return IdentityKeys(
        uid=account.uid,
        gid=account.gid,
        groups=list(account.groups),
        umask=f"{found.umask:03o}",
        nice=found.nice,
        limits={name: LimitKeys(soft=x.soft, hard=x.hard) for name, x in found.limits.items()},
        no_new_privileges=found.no_new_privileges,
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
