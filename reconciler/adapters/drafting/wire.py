"""What the daemon and its drafting process say to each other: one JSON text each way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.model import errors
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import HostError, ManifestError, WeaverError
from reconciler.model.units import ServiceName

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


class Question(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Files, and what to make of them."""

    files: dict[str, bytes]
    intents: list[WireIntent] | None = None
    """None: split the file into its documents."""
    must_be_valid: bool = True


class Answer(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What was made of them, or why that cannot be."""

    files: dict[str, bytes | None] = {}
    documents: list[tuple[str, str]] = []
    error: str = ""
    message: str = ""
    mend: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    def raise_error(self) -> None:
        """Raise what went wrong, if anything did."""
        if not self.error:
            return
        kind = _ERRORS.get(self.error, HostError)
        if issubclass(kind, ManifestError):
            raise kind(self.message, mend=self.mend, diagnostics=self.diagnostics)
        raise kind(self.message, mend=self.mend)


def ask_replay(files: Mapping[str, bytes], intents: Sequence[Intent]) -> bytes:
    """Ask what intents make of files."""
    return msgspec.json.encode(Question(files=dict(files), intents=[_sent(one) for one in intents]))


def ask_documents(path: str, data: bytes, *, must_be_valid: bool) -> bytes:
    """Ask for the documents of a file."""
    return msgspec.json.encode(Question(files={path: data}, must_be_valid=must_be_valid))


def read_question(data: bytes) -> Question:
    """Give the question of a text."""
    return msgspec.json.decode(data, type=Question)


def write_answer(answer: Answer) -> bytes:
    """Give the text of an answer."""
    return msgspec.json.encode(answer)


def read_answer(data: bytes) -> Answer:
    """Give the answer of a text."""
    return msgspec.json.decode(data, type=Answer)


def error_answer(why: WeaverError) -> Answer:
    """Give the answer that raises this error on the other side."""
    kind = next((base.__name__ for base in type(why).__mro__ if base.__name__ in _ERRORS), "")
    found = why.diagnostics if isinstance(why, ManifestError) else ()
    return Answer(error=kind, message=str(why), mend=why.mend, diagnostics=found)


def read_intents(question: Question) -> list[Intent]:
    """Give the intents of a question."""
    return [_intent(sent) for sent in question.intents or ()]


def _sent(intent: Intent) -> WireIntent:
    match intent:
        case SetField(service=service, path=path, value=value):
            return WireIntent(kind="set", service=service, path=path, text=value)
        case RemoveField(service=service, path=path):
            return WireIntent(kind="remove", service=service, path=path)
        case PutService(service=service, text=text):
            return WireIntent(kind="put", service=service, text=text)
        case RemoveService(service=service):
            return WireIntent(kind="drop", service=service)


def _intent(sent: WireIntent) -> Intent:
    service = ServiceName(sent.service)
    match sent.kind:
        case "set":
            return SetField(service=service, path=sent.path, value=sent.text)
        case "remove":
            return RemoveField(service=service, path=sent.path)
        case "put":
            return PutService(service=service, text=sent.text)
        case "drop":
            return RemoveService(service=service)
