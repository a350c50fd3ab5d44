"""What a story can say: sentences with words in capitals that stand for something."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any

from reconciler.manifest import durations
from reconciler.model.units import Nanos

_WORDS = {
    "NAME": r"(?P<name>[a-z][a-z0-9.-]*)",
    "NAMES": r"(?P<names>[a-z][a-z0-9.-]*(?: [a-z][a-z0-9.-]*)*)",
    "SLOT": r"(?P<service>[a-z][a-z0-9.-]*?)(?:-(?P<index>[0-9]+))?",
    "SIZE": r"(?P<size>[0-9]\S*)",
    "ADDRESS": r"(?P<address>\S+)",
    "SPAN": r"(?P<span>[0-9]\S*)",
    "CODE": r"(?P<code>[0-9]+)",
    "FILE": r"(?P<file>[a-z][a-z0-9-]*)",
    "FIELDS": r"(?P<fields>\{.*)",
    "TRAITS": r"(?P<traits>.+)",
    "WORDS": r"(?P<words>[A-Z][A-Z_]+=.*)",
    "WHY": r"(?P<why>.+)",
    "STATE": r"(?P<state>[a-z]+)",
    "KIND": r"(?P<kind>start|signal|probe|look|repair)",
    "VERB": r"(?P<verb>pause|resume|undo)",
    "POINT": r"(?P<point>writes|acts)",
    "SENTENCE": r"(?P<sentence>.+)",
}

Meaning = Callable[..., Any]


class StoryError(ValueError):
    """A story says something that cannot be played."""


class Sentences:
    """Sentences that are understood, and what they mean."""

    def __init__(self, what: str, known: dict[str, Meaning] | None = None) -> None:
        self._what = what
        """What they are, for the words of an error."""
        self._known: dict[str, tuple[re.Pattern[str], Meaning]] = {}
        for sentence, meaning in (known or {}).items():
            self.mean(sentence)(meaning)

    def mean(self, sentence: str) -> Callable[[Meaning], Meaning]:
        """Give a sentence a meaning; its words in capitals are the arguments."""

        def keep(meaning: Meaning) -> Meaning:
            parts = [_WORDS.get(word, re.escape(word)) for word in re.split(r"(\W)", sentence)]
            self._known[sentence] = re.compile("".join(parts)), meaning
            return meaning

        return keep

    def find(self, said: str) -> tuple[Meaning, dict[str, str]]:
        """Give what was said its meaning and its arguments, the first sentence that fits first."""
        for pattern, meaning in self._known.values():
            found = pattern.fullmatch(said)
            if found is not None:
                return meaning, {key: text for key, text in found.groupdict().items() if text}
        raise StoryError(f"cannot play {self._what}`{said}`: {nearest(said, self._known)}")


def span_of(text: str) -> Nanos:
    """Give a span of time, written as in manifests."""
    try:
        return durations.read(text)
    except durations.DurationError as error:
        raise StoryError(f"{error}; {error.mend}") from None


def nearest(text: str, known: Iterable[str]) -> str:
    """Say what might have been meant: what begins with the same word, or looks alike."""
    every = list(known)
    begin = text.partition(" ")[0]
    near = [one for one in every if one.partition(" ")[0] == begin]
    near = near or difflib.get_close_matches(text, every, n=1, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(f'`{one}`' for one in near)}?"
    return "known are " + (", ".join(f"`{one}`" for one in every) or "none")
