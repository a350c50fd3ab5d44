"""What the daemon and its worker for manifests say to each other, over a pipe.

A message is its length in four bytes, then JSON. Every request is answered by one answer, in
order; so when the worker dies, the first request without an answer is what killed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.manifest.codec import decode, encode, share_defaults
from reconciler.manifest.config import Config, ConfigResult
from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.manifest.result import FileResult
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import ConflictError, ManifestError, NotFoundError, WeaverError
from reconciler.model.units import ServiceName

LENGTH_BYTES = 4
MAX_MESSAGE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Read one manifest, or without a config weaver.yaml itself."""

    file: str
    data: bytes
    config: Config | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Take a file apart into its services."""

    file: str
    data: bytes
    must_be_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Carry out one intent after the other."""

    texts: Mapping[str, bytes]
    intents: tuple[PackedIntent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedIntent:
    """An intent in a form that needs no tag: exactly one of these."""

    set_field: SetField | None = None
    remove_field: RemoveField | None = None
    put_service: PutService | None = None
    remove_service: RemoveService | None = None

    @classmethod
    def of(cls, intent: Intent) -> PackedIntent:
        """Pack an intent."""
        match intent:
            case SetField():
                return cls(set_field=intent)
            case RemoveField():
                return cls(remove_field=intent)
            case PutService():
                return cls(put_service=intent)
            case RemoveService():
                return cls(remove_service=intent)

    @property
    def intent(self) -> Intent:
        """Give the intent back."""
        found = self.set_field or self.remove_field or self.put_service or self.remove_service
        assert found is not None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing to do: exactly one of these."""

    read: Read | None = None
    split: Split | None = None
    replay: Replay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A WeaverError on its way through the pipe."""

    kind: str
    message: str
    mend: str
    diagnostics: tuple[Diagnostic, ...] = ()

    @classmethod
    def of(cls, why: WeaverError) -> Refusal:
        """Pack an error."""
        diagnostics = why.diagnostics if isinstance(why, ManifestError) else ()
        return cls(
            kind=type(why).__name__, message=str(why), mend=why.mend, diagnostics=diagnostics
        )

    @property
    def error(self) -> WeaverError:
        """Give the error back."""
        match self.kind:
            case "NotFoundError":
                return NotFoundError(self.message, mend=self.mend)
            case "ConflictError":
                return ConflictError(self.message, mend=self.mend)
            case _:
                return ManifestError(self.message, mend=self.mend, diagnostics=self.diagnostics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request: one of these."""

    result: FileResult | None = None
    config: ConfigResult | None = None
    documents: tuple[tuple[ServiceName, str], ...] | None = None
    changes: Mapping[str, bytes | None] | None = None
    refusal: Refusal | None = None


def framed(message: Request | Answer) -> bytes:
    """Give a message as it goes through the pipe."""
    body = encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_request(body: bytes) -> Request:
    """Give the request of a message's body."""
    return decode(body, Request)


def read_answer(body: bytes) -> Answer:
    """Give the answer of a message's body."""
    answer = decode(body, Answer)
    if answer.result is not None:
        share(answer.result)
    return answer


def share(result: FileResult) -> None:
    """Let the services of a file that was decoded share what all services have."""
    for reading in result.readings:
        share_defaults(reading.definition.spec)


def length_of(head: bytes) -> int:
    """Give the length of the body that follows these bytes."""
    length = int.from_bytes(head, "big")
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return length
