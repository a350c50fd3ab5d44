"""Bad manifests and everything that is said about them, in tests/manifest/bad/*.txt.

A case is a title, one or more files, and what reading them says. `pytest tests/manifest/test_bad.py
--rewrite` writes what is really said, for a person to review. In a file whose name ends with
`(escaped)` Python's escapes stand for bytes that no text file should hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.manifest.config import CONFIG_FILE, Config
from reconciler.manifest.parse import parse
from reconciler.manifest.resolve import assemble
from reconciler.manifest.validate import check, check_config

FOLDER = Path(__file__).parent / "bad"
_CASE = re.compile(
    r"^=== (?P<title>.+)\n(?P<files>(?:.*\n)*?)>>>\n(?P<said>(?:(?!===).*\n)*)", re.MULTILINE
)
_FILE = re.compile(r"^--- (?P<name>\S+)(?P<escaped> \(escaped\))?\n", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    transcript: Path
    title: str
    files: dict[str, bytes]
    said: str


def cases(transcript: Path) -> Iterator[Case]:
    for found in _CASE.finditer(transcript.read_text("utf-8")):
        parts = _FILE.split(found["files"])[1:]
        files = {
            name: text.rstrip("\n").encode().decode("unicode_escape").encode("latin-1")
            if escaped
            else text.encode()
            for name, escaped, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        }
        yield Case(transcript, found["title"], files, found["said"])


ALL = [case for path in sorted(FOLDER.glob("*.txt")) for case in cases(path)]


def what_is_said(case: Case) -> str:
    """Read the files of a case and give all that comes of it."""
    settings = case.files.get(CONFIG_FILE)
    config = check_config(parse(CONFIG_FILE, settings)) if settings is not None else None
    found = assemble(
        [
            check(parse(file, data), (config and config.config) or Config())
            for file, data in case.files.items()
            if file != CONFIG_FILE
        ],
        also=config.diagnostics if config else (),
    )
    lines = [str(diagnostic) for diagnostic in found.diagnostics]
    for title, names in (
        ("good", found.definitions),
        ("invalid", found.invalid),
        ("broken", found.broken_files),
    ):
        lines += [f"{title}: {', '.join(names)}"] if names else []
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.transcript.stem}: {case.title}")
def test_all_that_is_wrong_is_said_where_it_is(case: Case, request: pytest.FixtureRequest) -> None:
    said = what_is_said(case)
    if request.config.getoption("--rewrite"):
        text = case.transcript.read_text("utf-8")
        begin = text.index(f"=== {case.title}\n")
        begin = text.index(">>>\n", begin) + len(">>>\n")
        end = text.find("\n=== ", begin - 1)
        rest = "" if end < 0 else text[end:]
        case.transcript.write_text(text[:begin] + said + rest, "utf-8")
    else:
        assert said == case.said.rstrip("\n") + "\n"


def test_there_are_cases() -> None:
    assert len(ALL) > 100
    assert len({(case.transcript, case.title) for case in ALL}) == len(ALL)
