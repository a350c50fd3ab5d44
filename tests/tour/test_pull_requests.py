"""The page about pull requests is played from top to bottom.

`pytest tests/tour/test_pull_requests.py --rewrite` writes what was really printed into it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.transcript import Stage
from tests.tour.test_readme import alike, rewritten, steps_of

PAGE = Path(__file__).parents[2] / "docs" / "pull-requests.md"


@pytest.mark.slow
def test_the_page_about_pull_requests_shows_what_really_happens(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    stage = Stage(tmp_path)
    stage.say("cd")
    played = [(step, stage.say(step.command)) for step in steps_of(lines)]
    if request.config.getoption("--rewrite"):
        PAGE.write_text(rewritten(lines, played), "utf-8")
        return
    assert len(played) > 8
    for step, output in played:
        assert alike(output) == alike(step.output), f"{step.title}\n{output}"
