"""Say that something a person asked for cannot be done: raised across ports only."""

from __future__ import annotations

from reconciler.model.diagnostic import Diagnostic


class WeaverError(Exception):
    """Something a person asked for cannot be done; the text names the thing, `mend` the way out."""

    exit_code = 1

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class ManifestError(WeaverError):
    """A manifest or a command line is invalid (exit 2)."""

    exit_code = 2

    def __init__(
        self, message: str, *, mend: str = "", diagnostics: tuple[Diagnostic, ...] = ()
    ) -> None:
        super().__init__(message, mend=mend)
        self.diagnostics = diagnostics


class ForbiddenError(WeaverError):
    """Not allowed: another user's repository or socket (exit 3)."""

    exit_code = 3


class BlockedError(WeaverError):
    """A guard or policy is in the way (exit 5)."""

    exit_code = 5


class NotFoundError(WeaverError):
    """No such service, file or revision (exit 6)."""

    exit_code = 6


class ConflictError(WeaverError):
    """Somebody else was first: a lock, a stale revision, another daemon (exit 10)."""

    exit_code = 10


class HostError(WeaverError):
    """The host refused something (exit 4)."""

    exit_code = 4


class StoreError(WeaverError):
    """The record cannot be written or read (exit 4); supervision goes on."""

    exit_code = 4


class SourceHeldError(WeaverError):
    """The manifests cannot be trusted just now: a rebase, an unreadable folder (exit 10)."""

    exit_code = 10
