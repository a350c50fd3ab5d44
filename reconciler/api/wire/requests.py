"""What clients send: strict bodies, each key known, typed and bounded, turned into requests.

Unknown keys, wrong types and overlong texts are refused with the path of what is wrong; nothing
is read into an object that a client could name.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from reconciler.model.units import ServiceName
from reconciler.ports import Author, WeaverError
from reconciler.runtime import requests
from reconciler.runtime.requests import Change, OperationRequest, Terms

MOST_SERVICES = 10_000
LONGEST_TIMEOUT_S = 86_400.0
SHORTEST_TTL_S, LONGEST_TTL_S = 1.0, 86_400.0

Name = Annotated[str, Meta(max_length=63, description="A service's name.")]
Names = Annotated[list[Name], Meta(max_length=MOST_SERVICES)]
Line = Annotated[str, Meta(max_length=1000, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]
"""One line of text: no control characters."""
Person = Annotated[str, Meta(max_length=254, pattern=r"\A[^\x00-\x1f\x7f<>]*\Z")]
Text = Annotated[str, Meta(max_length=1 << 20)]
Path = Annotated[str, Meta(max_length=4096)]
Timeout = Annotated[
    float, Meta(ge=0, le=LONGEST_TIMEOUT_S, description="Seconds to wait for the result.")
]

TimeToLive = Annotated[float, Meta(ge=SHORTEST_TTL_S, le=LONGEST_TTL_S)]


class MalformedError(WeaverError):
    """A request cannot be read as JSON at all (exit 2)."""

    exit_code = 2


class UnacceptableError(WeaverError):
    """A request can be read, but says something it may not say (exit 2)."""

    exit_code = 2


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What every request may say besides what it asks for."""

    author: Annotated[
        AuthorKeys | None,
        Meta(description="`name` and `email`, as `git var GIT_AUTHOR_IDENT` gives them."),
    ] = None
    reason: Annotated[Line, Meta(description="Why; it stands in the commit.")] = ""
    wait: Annotated[bool, Meta(description="Whether to wait until what was asked for is so.")] = (
        True
    )
    timeout: Timeout = 300.0


class AuthorKeys(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Who asks, as git knows them where the request was made."""

    name: Person
    email: Person


class ChangeBody(Body, frozen=True, kw_only=True, tag_field="kind"):
    """A change of manifests."""

    dry_run: Annotated[bool, Meta(description="Only say what would change.")] = False
    if_revision: Annotated[
        str, Meta(pattern=r"\A[0-9a-f]{0,64}\Z", description="Refuse unless HEAD is this commit.")
    ] = ""


class DocumentKeys(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A file to apply, and where it came from."""

    text: Text
    path: Path = ""


class AssignmentKeys(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """One value to set; null removes the key."""

    path: Annotated[str, Meta(min_length=1, max_length=1000)]
    value: Text | None


class ApplyBody(ChangeBody, frozen=True, kw_only=True, tag="apply"):
    """Make the manifests of these services equal to these documents."""

    documents: Annotated[list[DocumentKeys], Meta(min_length=1, max_length=MOST_SERVICES)]
    branch: Annotated[
        str,
        Meta(max_length=200, description="Commit to this branch; nothing of it takes effect."),
    ] = ""
    ttl: Annotated[
        TimeToLive | None,
        Meta(description="Commit nothing, and go back to the manifests after so many seconds."),
    ] = None


class SetBody(ChangeBody, frozen=True, kw_only=True, tag="set"):
    """Set or remove values of one service."""

    service: Name
    assignments: Annotated[list[AssignmentKeys], Meta(min_length=1, max_length=1000)]


class ScaleBody(ChangeBody, frozen=True, kw_only=True, tag="scale"):
    """Give services another number of instances."""

    instances: Annotated[
        dict[Name, int],
        Meta(
            min_length=1,
            max_length=MOST_SERVICES,
            description="How many of each service, by its name.",
        ),
    ]


class RegisterBody(ChangeBody, frozen=True, kw_only=True, tag="register"):
    """Write the manifest of a new service."""

    service: Name
    text: Text
    create: bool = True


class EditBody(ChangeBody, frozen=True, kw_only=True, tag="edit"):
    """Write the whole manifest of a service that exists."""

    service: Name
    text: Text
    create: bool = False


class UnregisterBody(ChangeBody, frozen=True, kw_only=True, tag="unregister"):
    """Remove services; with `cascade` also those that need them."""

    services: Annotated[Names, Meta(min_length=1)]
    cascade: bool = False


class StartBody(ChangeBody, frozen=True, kw_only=True, tag="start"):
    """Make `state: running`."""

    services: Annotated[Names, Meta(min_length=1)]


class StopBody(ChangeBody, frozen=True, kw_only=True, tag="stop"):
    """Make `state: stopped`."""

    services: Annotated[Names, Meta(min_length=1)]
    with_dependents: bool = False
    only: bool = False
    now: Annotated[
        bool, Meta(description="Kill what runs of them, whatever their manifests say of stops.")
    ] = False
    ttl: Annotated[
        TimeToLive | None,
        Meta(description="Commit nothing, and go back to the manifests after so many seconds."),
    ] = None


class UndoBody(ChangeBody, frozen=True, kw_only=True, tag="undo"):
    """Revert the last commit that this person made through Weaver."""


ChangeBodies = (
    ApplyBody
    | SetBody
    | ScaleBody
    | RegisterBody
    | EditBody
    | UnregisterBody
    | StartBody
    | StopBody
    | UndoBody
)


class OperationBody(Body, frozen=True, kw_only=True, tag_field="kind"):
    """An operation, which changes no manifest."""


class RestartBody(OperationBody, frozen=True, kw_only=True, tag="restart"):
    """Replace the processes of services."""

    services: Annotated[Names, Meta(min_length=1)]


class ReloadBody(OperationBody, frozen=True, kw_only=True, tag="reload"):
    """Have the processes of services load their configuration anew."""

    services: Annotated[Names, Meta(min_length=1)]


class RetryBody(OperationBody, frozen=True, kw_only=True, tag="start"):
    """Clear the failures of crashed services and start them now."""

    services: Annotated[Names, Meta(min_length=1)]


class SteerBody(OperationBody, frozen=True, kw_only=True, tag="rollout"):
    """Hold the rollout of a service, let it go on, or take it back."""

    service: Name
    steer: requests.Steer


class RevertBody(OperationBody, frozen=True, kw_only=True, tag="revert"):
    """End what was applied to services for a while."""

    services: Annotated[Names, Meta(min_length=1)]


class SettleBody(OperationBody, frozen=True, kw_only=True, tag="settle"):
    """Wait until all (or these) services are as wanted, or cannot become so."""

    services: Names = []


OperationBodies = RestartBody | ReloadBody | RetryBody | SteerBody | RevertBody | SettleBody


class ApproveBody(Body, frozen=True, kw_only=True):
    """Let a large removal that is held happen."""


class SyncBody(Body, frozen=True, kw_only=True):
    """Fetch and read what is followed now, and wait for what comes of it."""

    revision: Annotated[
        str,
        Meta(
            pattern=r"\A([0-9a-f]{7,64})?\Z",
            description="A commit that must be among what is followed then.",
        ),
    ] = ""


class AcceptHistoryBody(Body, frozen=True, kw_only=True):
    """Follow a branch whose history was rewritten."""

    commit: Annotated[
        str, Meta(pattern=r"\A[0-9a-f]{7,64}\Z", description="Where the branch is now.")
    ]


class ShutdownBody(Body, frozen=True, kw_only=True):
    """Stop services in reverse order, then daemon and holder."""

    keep_services: bool = False
    kill: bool = False


class ReexecBody(Body, frozen=True, kw_only=True):
    """Replace the programs of holder and daemon in place."""


def decode(body: bytes, kind: Any) -> Any:
    """Read a body as a type (or union of types); what is wrong with it is said with its path."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise UnacceptableError(
            f"cannot accept the request: {error}", mend="see /v1/openapi.json"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(
            f"cannot read the request as JSON: {error}", mend="send one JSON object in UTF-8"
        ) from error


def terms(body: Body, uid: int) -> Terms:
    """Give how a request is to be carried out, and for whom; the uid is the kernel's word."""
    said = body.author or AuthorKeys(name="", email="")
    change = body if isinstance(body, ChangeBody) else ChangeBody()
    return Terms(
        author=Author(name=said.name, email=said.email, uid=uid),
        reason=body.reason,
        dry_run=change.dry_run,
        if_revision=change.if_revision,
        wait=body.wait,
        timeout=body.timeout,
    )


def change(body: ChangeBodies) -> Change:
    """Give the change that a body asks for."""
    match body:
        case ApplyBody(branch=branch, ttl=ttl) if branch and ttl:
            raise UnacceptableError(
                "cannot accept the request: what is for a while is on no branch",
                mend="leave out branch, or ttl",
            )
        case ApplyBody():
            return requests.Apply(
                documents=tuple(
                    requests.Document(text=one.text, path=one.path) for one in body.documents
                ),
                branch=body.branch,
                lasts=body.ttl or 0.0,
            )
        case SetBody():
            return requests.SetValues(
                service=ServiceName(body.service),
                assignments=tuple(
                    requests.Assignment(path=one.path, value=one.value) for one in body.assignments
                ),
            )
        case ScaleBody():
            return requests.Scale(
                counts=tuple((ServiceName(name), n) for name, n in body.instances.items())
            )
        case RegisterBody() | EditBody():
            return requests.PutManifest(
                service=ServiceName(body.service), text=body.text, create=body.create
            )
        case UnregisterBody():
            return requests.Unregister(services=_names(body.services), cascade=body.cascade)
        case StartBody():
            return requests.StartServices(services=_names(body.services))
        case StopBody():
            return requests.StopServices(
                services=_names(body.services),
                with_dependents=body.with_dependents,
                only=body.only,
                now=body.now,
                lasts=body.ttl or 0.0,
            )
        case UndoBody():
            return requests.UndoLast()


def operation(body: OperationBodies) -> OperationRequest:
    """Give the operation that a body asks for."""
    match body:
        case RestartBody():
            return requests.RestartServices(services=_names(body.services))
        case ReloadBody():
            return requests.ReloadServices(services=_names(body.services))
        case RetryBody():
            return requests.RetryServices(services=_names(body.services))
        case SteerBody():
            return requests.SteerRollout(service=ServiceName(body.service), steer=body.steer)
        case RevertBody():
            return requests.Revert(services=_names(body.services))
        case SettleBody():
            return requests.Settle(services=_names(body.services))


def shutdown(body: ShutdownBody) -> requests.Shutdown:
    """Give the end that a body asks for."""
    return requests.Shutdown(keep_services=body.keep_services, kill=body.kill)


def _names(said: list[str]) -> tuple[ServiceName, ...]:
    """Give names, each once, in the order said."""
    return tuple(ServiceName(name) for name in dict.fromkeys(said))
