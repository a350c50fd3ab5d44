"""What the command line gives up with: a sentence, the way out, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cli import exits, place


class CommandError(Exception):
    """Something a person asked for cannot be done; the text names the thing, `mend` the way out."""

    def __init__(
        self,
        message: str,
        *,
        mend: str = "",
        code: int = exits.FAILED,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.code = code
        self.details = tuple(details)
        """Lines between the message and the mend: diagnostics, the end of a log."""


def no_daemon(root: str) -> CommandError:
    """Say that nobody answers for a repository."""
    chosen = "" if place.named_root(None) == root else f" -C {root}"
    return CommandError(
        f"no daemon runs for {root}",
        mend=f"weaver{chosen} up --detach",
        code=exits.NO_DAEMON,
    )


def elsewhere(pid: int | None, root: str, socket_path: str) -> CommandError:
    """Say that the daemon of a repository does not listen where it is looked for."""
    who = f"daemon {pid}" if pid else "a daemon"
    return CommandError(
        f"{who} runs for {root}, but does not answer at {socket_path}",
        mend="name the state directory it was started with: --state-dir or WEAVER_STATE_DIR",
        code=exits.NO_DAEMON,
    )
