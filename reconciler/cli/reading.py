"""Read the files that a person names on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.cli.validation import manifests_in
from reconciler.manifest.limits import MAX_FILE_BYTES


def read_text(path: str) -> str:
    """Read a file of the person's, `-` being standard input."""
    try:
        if path == "-":
            return _within_limits(path, sys.stdin.buffer)
        with Path(path).open("rb") as file:
            return _within_limits(path, file)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CommandError(
            f"cannot read {path}: {why}",
            mend="name a manifest, or - for standard input",
            code=exits.NOT_FOUND if isinstance(error, FileNotFoundError) else exits.USAGE,
        ) from error


def _within_limits(path: str, file: BinaryIO) -> str:
    """Read no more than a manifest may have: what is named may be /dev/zero."""
    data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise CommandError(
            f"cannot read {path}: it has more than the {MAX_FILE_BYTES:,} bytes of a manifest",
            mend="split many services over several files",
            code=exits.USAGE,
        )
    return data.decode().replace("\r\n", "\n")


def documents(path: str) -> list[dict[str, str]]:
    """Give the text of a file, of all manifests in a directory, or of standard input."""
    if path == "-":
        return [{"text": read_text(path)}]
    if not Path(path).is_dir():
        return [{"text": read_text(path), "path": path}]
    found = manifests_in(Path(path))
    if not found:
        raise CommandError(f"no manifest in {path}", mend="name a .yaml file", code=exits.NOT_FOUND)
    return [{"text": read_text(str(file)), "path": str(file)} for file in found]
