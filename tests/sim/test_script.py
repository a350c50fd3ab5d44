"""The language of stories: what cannot be said is refused with its line, the rest is played."""

from __future__ import annotations

import pytest

from tests.sim.script import play
from tests.sim.sentences import StoryError

BAD = [
    ("setle", "cannot play `setle`: did you mean `settle`?"),
    ("lament", "cannot play `lament`: known are `write NAME FIELDS in FILE`, "),
    ("pass 5 parsecs", "cannot play `pass 5 parsecs`: did you mean `pass SPAN`?"),
    ("pass 5parsecs", "`5parsecs` is no span of time"),
    ("delete db", "cannot delete services.d/db.yaml: it is not there"),
    ("end web with 1", "cannot end web-0: no process of it lives"),
    ("ask for a start of wbe", "cannot find the service wbe: did you mean `web`?"),
    ("agree to the removal", "cannot agree to the removal: none is held"),
    ("daemon sleeps", "cannot play `daemon sleeps`: did you mean `daemon dies` or `daemon "),
    ("program web: is never redy", "cannot play a program that `is never redy`: did you mean"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[line for line, _ in BAD])
def test_what_cannot_be_played_is_refused_with_its_line(line: str, words: str) -> None:
    story = f"# A story.\n\n$ write web {{state: stopped}}\n$ bring up\n$ {line}\n"
    with pytest.raises(StoryError) as refusal:
        play(story, "engine-bad.txt")
    assert str(refusal.value).startswith(f"engine-bad.txt:5: {words}")


def test_a_rule_that_is_broken_names_the_line() -> None:
    story = "# Nothing ends by itself.\n\n$ write web {}\n$ bring up\n$ wait until web is stopped\n"
    with pytest.raises(AssertionError, match="in vain") as breach:
        play(story, "engine-bad.txt")
    assert breach.value.__notes__ == ["engine-bad.txt:5: $ wait until web is stopped"]


def test_played_again_a_story_stays_as_it_is() -> None:
    first = play("# A story.\n\n$ write web {}\n$ save\n# Then it runs.\n$ settle\n")
    assert "> start web-0" in first
    assert play(first) == first


def test_old_output_is_replaced() -> None:
    assert play("# A story.\n\n$ write web {}\n   0.000  > a lie\n") == (
        "# A story.\n\n$ write web {}\n"
    )


def test_a_broken_manifest_is_what_the_reader_says_of_it() -> None:
    told = play("$ write web {env: {A: 1}\n$ save\n")
    assert "services.d/web.yaml cannot be read" in told
    assert "mend: add the missing `]` or `}`" in told


def test_looks_that_find_the_same_are_counted() -> None:
    told = play("$ write web {}\n$ bring up\n$ pass 10m\n")
    assert told.count("look") == 1
    assert "looks 20 times, each time: web-0 (run-1)" in told
