"""Carry requests to the worker process and answers back: one line of JSON each."""

from __future__ import annotations

from typing import Literal

import msgspec

from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.model import errors
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import HostError, ManifestError, WeaverError
from reconciler.model.units import ServiceName
from reconciler.ports import Author, CommitPart, CommitRequest, Committed

_ERRORS: dict[str, type[WeaverError]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WeaverError)
}


class WireIntent(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """An intent with its kind by name."""

    kind: Literal["set", "remove", "put", "drop"]
    service: str
    path: tuple[str, ...] = ()
    text: str = ""
    verbatim: bool = False


class Question(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What the worker is asked to do."""

    verb: Literal["commit", "undo"]
    root: str
    author: Author
    op_id: str
    intents: tuple[WireIntent, ...] = ()
    subject: str = ""
    op: str = ""
    source: str = ""
    services: tuple[str, ...] = ()
    reason: str = ""
    if_revision: str = ""
    auto_commit: bool = True
    branch: str = ""
    parts: tuple[CommitPart, ...] = ()
    folder: str | None = None
    """Of a mirror, whose directory `root` is: where in it the manifests are. None: a checkout."""
    sign: str = ""
    """The SSH key that the commit is signed with; empty: none."""
    since: str = ""
    """Refuse what would replace changes of the same fields since this commit."""

    def request(self) -> CommitRequest:
        """Give the request that was asked for."""
        return CommitRequest(
            intents=tuple(_intent(sent) for sent in self.intents),
            subject=self.subject,
            author=self.author,
            op=self.op,
            op_id=self.op_id,
            source=self.source,
            services=tuple(ServiceName(name) for name in self.services),
            reason=self.reason,
            if_revision=self.if_revision,
            auto_commit=self.auto_commit,
            branch=self.branch,
            parts=self.parts,
        )


class Answer(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What became of it: a result, or an error by the name of its class."""

    done: Committed | None = None
    error: str = ""
    message: str = ""
    mend: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    def result(self) -> Committed:
        """Give the result, or raise the error."""
        if self.done is not None:
            return self.done
        kind = _ERRORS.get(self.error, HostError)
        if issubclass(kind, ManifestError):
            raise kind(self.message, mend=self.mend, diagnostics=self.diagnostics)
        raise kind(self.message, mend=self.mend)


def commit_question(
    root: str,
    request: CommitRequest,
    folder: str | None = None,
    sign: str = "",
    since: str = "",
) -> bytes:
    """Give the line that asks for a commit."""
    return _line(
        Question(
            verb="commit",
            root=root,
            author=request.author,
            op_id=request.op_id,
            intents=tuple(_sent(intent) for intent in request.intents),
            subject=request.subject,
            op=request.op,
            source=request.source,
            services=request.services,
            reason=request.reason,
            if_revision=request.if_revision,
            auto_commit=request.auto_commit,
            branch=request.branch,
            parts=request.parts,
            folder=folder,
            sign=sign,
            since=since,
        )
    )


def undo_question(
    root: str,
    author: Author,
    op_id: str,
    *,
    auto_commit: bool,
    folder: str | None = None,
    sign: str = "",
) -> bytes:
    """Give the line that asks for an undo."""
    return _line(
        Question(
            verb="undo",
            root=root,
            author=author,
            op_id=op_id,
            auto_commit=auto_commit,
            folder=folder,
            sign=sign,
        )
    )


def done_answer(done: Committed) -> bytes:
    """Give the line that tells a result."""
    return _line(Answer(done=done))


def error_answer(why: WeaverError) -> bytes:
    """Give the line that tells an error."""
    kind = next((base.__name__ for base in type(why).__mro__ if base.__name__ in _ERRORS), "")
    found = why.diagnostics if isinstance(why, ManifestError) else ()
    return _line(Answer(error=kind, message=str(why), mend=why.mend, diagnostics=found))


def read_question(line: bytes) -> Question:
    """Read a line of the daemon's."""
    return msgspec.json.decode(line, type=Question)


def read_answer(line: bytes) -> Answer:
    """Read a line of the worker's."""
    return msgspec.json.decode(line, type=Answer)


def _line(message: msgspec.Struct) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _sent(intent: Intent) -> WireIntent:
    match intent:
        case SetField(service=service, path=path, value=value):
            return WireIntent("set", service, path, value)
        case RemoveField(service=service, path=path):
            return WireIntent("remove", service, path)
        case PutService(service=service, text=text, verbatim=verbatim):
            return WireIntent("put", service, (), text, verbatim)
        case RemoveService(service=service):
            return WireIntent("drop", service)


def _intent(sent: WireIntent) -> Intent:
    service = ServiceName(sent.service)
    match sent.kind:
        case "set":
            return SetField(service=service, path=sent.path, value=sent.text)
        case "remove":
            return RemoveField(service=service, path=sent.path)
        case "put":
            return PutService(service=service, text=sent.text, verbatim=sent.verbatim)
        case "drop":
            return RemoveService(service=service)
