"""Notice services that write to a file which is their log no more: deleted, moved, replaced."""

from __future__ import annotations

from pathlib import Path

from reconciler.adapters.logs.plain_files import find_renamed
from reconciler.model.log import LogSource


def astray(source: LogSource, log: tuple[int, int] | None, before: tuple[int, int] | None) -> str:
    """Say what is wrong; nothing where the service writes to its log, or where nobody knows.

    `log` is the file with the log's name, `before` the one that had it at the last look.
    """
    output = Path(f"/proc/{source.pid}/fd/{2 if source.stream == 'stderr' else 1}")
    try:
        found, text = output.stat(), str(output.readlink())
    except OSError:
        return ""
    file = (found.st_dev, found.st_ino)
    if source.pid is None or file == log:
        return ""
    mend = f"`weaver restart {source.service}` gives it a new one"
    if found.st_nlink == 0 and text == f"{source.path} (deleted)":
        return (
            f"{source.instance} writes on to its log, which was deleted: {mend}; "
            f"until then `cp {output} FILE` saves what it wrote"
        )
    moved = find_renamed(Path(source.path), *file) if file == before else None
    if moved is not None:
        return f"{source.instance} writes on to its log, which was moved to {moved}: {mend}"
    return ""
