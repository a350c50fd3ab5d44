"""The stories in tests/transcripts/engine-*.txt: what happened, and what the engine did about it.

`pytest tests/core/test_transcripts.py --rewrite` writes what really happens into the files. A new
story needs a file and nothing else: its first line says in a sentence what it shows, and
tests/sim/script.py knows what can be said in the lines that begin with `$ `.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sim.script import play

FOLDER = Path(__file__).parents[1] / "transcripts"
STORIES = sorted(FOLDER.glob("engine-*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_the_story_is_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    before = path.read_text("utf-8")
    after = play(before, path.name)
    if request.config.getoption("--rewrite"):
        path.write_text(after, "utf-8")
    else:
        assert after == before


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_a_story_begins_with_what_it_shows(path: Path) -> None:
    first, second, *_ = path.read_text("utf-8").splitlines()
    assert first.startswith("# ")
    assert first.endswith(".")
    assert second == ""
