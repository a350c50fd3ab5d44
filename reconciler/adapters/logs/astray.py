"""Notice services that write to a file which is their log no more: deleted, moved, replaced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.logs.plain_files import find_renamed
from reconciler.model.log import LogSource


@dataclass(frozen=True, slots=True)
class Stray:
    """A service that writes elsewhere than to its log."""

    text: str
    is_deleted: bool = False


def output_of(source: LogSource) -> Path:
    """Give the path by which the file is reached that a service writes to, whatever its name."""
    return Path(f"/proc/{source.pid}/fd/{2 if source.stream == 'stderr' else 1}")


def astray(
    source: LogSource, log: tuple[int, int] | None, before: tuple[int, int] | None
) -> Stray | None:
    """Say what is wrong; None where the service writes to its log, or where nobody knows.

    `log` is the file with the log's name, `before` the one that had it at the last look.
    """
    output = output_of(source)
    try:
        found, text = output.stat(), str(output.readlink())
    except OSError:
        return None
    file = (found.st_dev, found.st_ino)
    if source.pid is None or file == log:
        return None
    mend = f"`weaver restart {source.service}` gives it a new one"
    if found.st_nlink == 0 and text == f"{source.path} (deleted)":
        said = (
            f"{source.instance} writes on to its log, which was deleted: {mend}; "
            f"until then `cp {output} FILE` saves what it wrote"
        )
        return Stray(said, is_deleted=True)
    moved = find_renamed(Path(source.path), *file) if file == before else None
    if moved is not None:
        return Stray(f"{source.instance} writes on to its log, which was moved to {moved}: {mend}")
    return None


def copied(source: LogSource) -> str:
    """Say that a log was deleted and that nothing is lost for it."""
    return (
        f"{source.instance} writes on to its log, which was deleted: what it says since then is "
        f"copied into a new one, until `weaver restart {source.service}`"
    )
