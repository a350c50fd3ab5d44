"""The transcripts in tests/transcripts: what people type and read, word for word.

`pytest tests/cli/test_transcripts.py --rewrite` writes what was really printed into the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.transcript import Stage, parse, write

FOLDER = Path(__file__).parents[1] / "transcripts"
ENGINE = "engine-"
"""How the stories of the engine begin, which tests/core plays."""


def _cases() -> Sequence[object]:
    """Give every transcript; those that start processes are marked."""
    found = []
    files = [path for path in FOLDER.glob("*.txt") if not path.name.startswith(ENGINE)]
    for path in sorted(files):
        is_real = "real" in path.read_text("utf-8").partition("\n")[0].split()
        marks = [pytest.mark.real] if is_real else [pytest.mark.slow]
        found.append(pytest.param(path, id=path.stem, marks=marks))
    return found


@pytest.mark.parametrize("path", _cases())
def test_what_is_typed_prints_what_is_written(
    path: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before = path.read_text("utf-8")
    steps, preface = parse(before)
    stage = Stage(tmp_path)
    try:
        after = write(stage.play(steps), preface)
    finally:
        stage.run("weaver down")
    if request.config.getoption("--rewrite"):
        path.write_text(after, "utf-8")
    else:
        assert after == before
