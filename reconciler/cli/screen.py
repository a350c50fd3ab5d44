"""Write to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import Any, TextIO

from reconciler.cli.errors import CommandError

FORMAT_VERSION = "1.0"

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


def out(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(f"{text}\n")


def out_bytes(chunk: bytes) -> None:
    """Pass a piece of the result on as it is, at once."""
    sys.stdout.flush()
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()


def err(text: str) -> None:
    """Print a line about the result: progress, a note, an error."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def out_json(document: dict[str, Any], code: int = 0) -> None:
    """Print a JSON document as every one begins."""
    head = {"formatVersion": FORMAT_VERSION, "exitCode": code}
    out(json.dumps(head | document, indent=2, ensure_ascii=False))


def out_json_line(document: dict[str, Any]) -> None:
    """Print one object of a stream of them."""
    out(json.dumps(document, ensure_ascii=False))
    sys.stdout.flush()


def paint(text: str, code: str, colour: bool) -> str:
    """Colour text where colour is welcome."""
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text


def complain(failure: CommandError, *, colour: bool = False) -> None:
    """Print what went wrong, and the way out; on a terminal no word is cut at the edge."""
    width = _edge(sys.stderr)
    first, *rest = _broken(f"weaver: {failure.message}", width)
    head, colon, tail = first.partition("weaver:")
    err(f"{head}{paint(colon, RED, colour)}{tail}")
    for line in rest:
        err(line)
    for line in failure.details:
        for part in _broken(line, width) if line.startswith("    mend: ") else [line]:
            err(part)
    if failure.mend:
        for line in _broken(f"    mend: {failure.mend}", width):
            err(line)


def folded(text: str) -> list[str]:
    """Break a line of the result between words at the edge of the terminal; off one leave it."""
    return _broken(text, _edge(sys.stdout))


def _edge(stream: TextIO) -> int | None:
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _broken(text: str, width: int | None) -> list[str]:
    """Break a line between words where it is wider than the terminal."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(
        text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def flush() -> None:
    """Hand over what was printed so far."""
    sys.stdout.flush()
