"""Give the parser events of a YAML text, one by one, so that limits come before any tree.

libyaml's parser keeps its state on the heap: a million levels of nesting cost it nothing before
the reader of these events stops it. But it speaks YAML 1.1, which differs from 1.2 in two things
that real manifests contain: `[http://localhost]` without quotes, and the surrogate pairs that JSON
writers put out. Only where it stumbles over one of these is a small file read again by the parser
in Python, thirty times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from _ruamel_yaml import CParser  # type: ignore[import-not-found]  # C, without stubs
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from reconciler.manifest.limits import MAX_SLOW_BYTES

_ONLY_IN_YAML_1_1 = ("found unexpected ':'", "found invalid Unicode character escape code")


class Mark(Protocol):
    """A place in the text, counted from 0."""

    line: int
    column: int
    index: int


class Event(Protocol):
    """What the two parsers' events have in common; the rest depends on the kind."""

    start_mark: Mark
    end_mark: Mark


class SyntaxFaultError(Exception):
    """The text is not YAML. Marks count from 0; `context` is where the construct began."""

    def __init__(self, problem: str, context: str, mark: Mark | None, began: Mark | None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.context = context
        self.mark = mark
        self.began = began


def kind(event: object) -> str:
    """Give the kind of an event: `ScalarEvent`, `MappingStartEvent` and so on."""
    return type(event).__name__


def events(text: str) -> Iterator[Event]:
    """Give the events of a text. Raises SyntaxFaultError where it is not YAML 1.2."""
    given = 0
    try:
        parser = CParser(text)
        while (event := parser.get_event()) is not None:
            yield event
            given += 1
    except YAMLError as why:
        problem = getattr(why, "problem", None)
        if problem not in _ONLY_IN_YAML_1_1 or len(text) > MAX_SLOW_BYTES:
            raise _fault(why) from why
    else:
        return
    try:
        for number, event in enumerate(_slow(text)):
            if number >= given:
                yield event
    except YAMLError as why:
        raise _fault(why) from why


def _slow(text: str) -> Iterator[Event]:
    from ruamel.yaml import YAML

    yield from YAML(typ="safe", pure=True).parse(text)


def _fault(why: YAMLError) -> SyntaxFaultError:
    if isinstance(why, MarkedYAMLError):
        return SyntaxFaultError(
            why.problem or str(why), why.context or "", why.problem_mark, why.context_mark
        )
    return SyntaxFaultError(str(why).partition("\n")[0], "", None, None)
