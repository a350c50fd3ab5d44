"""Turn the bytes of a file into text, or say why they are none."""

from __future__ import annotations

import re

from reconciler.manifest.codes import Code
from reconciler.manifest.limits import MAX_FILE_BYTES
from reconciler.model.diagnostic import Diagnostic, Source

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LFS = b"version https://git-lfs.github.com/spec/"
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|\r(?!\n)"
)
_NAMES = {
    "\0": "NUL",
    "\r": "a carriage return without a line feed",
    "\x1b": "ESC",
    "\x85": "NEL (a C1 line break)",
    "\u2028": "the line separator U+2028",
    "\u2029": "the paragraph separator U+2029",
    "\ufeff": "a byte order mark inside the text",
}

_NAME_LINE = re.compile(
    r"""^(?:\{?\s*["'])?name["']?[ ]*:[ ]*["']?([a-z0-9][a-z0-9.-]{0,62})["']?[ ,}]*(?:[ ]#.*)?$""",
    re.MULTILINE,
)
_NAMES_WITHIN_BYTES = 65536


def decode(file: str, data: bytes) -> str | Diagnostic:
    """Give the text of a file without its byte order mark, or the one fault of its encoding."""
    if len(data) > MAX_FILE_BYTES:
        return too_large(file, len(data))
    if data.startswith(_UTF16) or b"\0" in data[:2]:
        return _fault(
            Source(file=file), Code.NOT_UTF8, "the file is UTF-16 text, or no text at all"
        )
    if data.startswith(_LFS):
        return Diagnostic(
            source=Source(file=file),
            code=Code.UNREADABLE,
            message="git LFS keeps this file elsewhere: here is its pointer, which is not followed",
            mend="keep manifests in git itself: git lfs untrack, then add the file anew",
        )
    body = data.removeprefix(_BOM)
    try:
        text = body.decode()
    except UnicodeDecodeError as why:
        place = _place(file, body[: why.start].decode())
        return _fault(place, Code.NOT_UTF8, f"the byte 0x{body[why.start]:02x} is not UTF-8 text")
    found = _NO_TEXT.search(text)
    if found is None:
        return text
    character = found.group()[0]
    name = _NAMES.get(character, f"the control character U+{ord(character):04X}")
    return Diagnostic(
        source=_place(file, text[: found.start()]),
        code=Code.CONTROL_CHARACTER,
        message=f"{name} is not part of any text",
        mend="remove it"
        if character == "\0"
        else f'remove it, or write "{_escape(character)}" in double quotes',
    )


def too_large(file: str, size: int) -> Diagnostic:
    """Say that a file is larger than a manifest may be."""
    return Diagnostic(
        source=Source(file=file),
        code=Code.TOO_LARGE,
        message=f"the file has {size:,} bytes, more than the {MAX_FILE_BYTES:,} of a manifest",
        mend="keep data out of manifests; split many services over several files",
    )


def seeming_names(data: bytes) -> tuple[str, ...]:
    """Find what looks like service names in a file that cannot be read.

    They only keep a service from being taken for removed while its file is broken.
    """
    text = data[:_NAMES_WITHIN_BYTES].decode("utf-8", "replace").replace("\r", "")
    return tuple(dict.fromkeys(_NAME_LINE.findall(text)))


def _escape(character: str) -> str:
    number = ord(character)
    if character == "\r":
        return "\\r"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _fault(place: Source, code: Code, message: str) -> Diagnostic:
    return Diagnostic(source=place, code=code, message=message, mend="save the file as UTF-8")


def _place(file: str, before: str) -> Source:
    """Give the place that follows this text."""
    line = before.count("\n") + 1
    return Source(file=file, line=line, column=len(before) - before.rfind("\n"))
