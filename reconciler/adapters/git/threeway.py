"""Apply the step between two texts to a third one that shares most of their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

LINE_LIMIT = 5000
"""Of a text; finding common lines may cost the square of it."""

Lines = Sequence[bytes]


def apply_step(now: bytes, base: bytes, other: bytes) -> bytes | None:
    r"""Change in `now` what differs from `base` to `other`; None where those lines are changed.

    Unlike a merge, edits of neighbouring lines do not collide: manifests have one value a line.

    >>> apply_step(b"a: 9\nb: 2\n", b"a: 1\nb: 2\n", b"a: 1\nb: 3\n")
    b'a: 9\nb: 3\n'
    """
    if now == base:
        return other
    if b"\r\n" in now and b"\r\n" not in base:
        base, other = (text.replace(b"\n", b"\r\n") for text in (base, other))
    found, before, after = (text.splitlines(keepends=True) for text in (now, base, other))
    if max(len(found), len(before), len(after)) > LINE_LIMIT:
        return None
    places = _places(before, found)
    for tag, first, end, start, stop in reversed(_differences(before, after)):
        spot = _gap(places, first) if tag == "insert" else _run(places, first, end)
        if spot is None:
            return None
        found[spot] = after[start:stop]
    return b"".join(found)


def _matcher(one: Lines, other: Lines) -> SequenceMatcher[bytes]:
    return SequenceMatcher(None, one, other, autojunk=False)


def _differences(one: Lines, other: Lines) -> list[tuple[str, int, int, int, int]]:
    return [step for step in _matcher(one, other).get_opcodes() if step[0] != "equal"]


def _places(before: Lines, found: Lines) -> Mapping[int, int]:
    """Say where each unchanged line is now."""
    return {
        block.a + offset: block.b + offset
        for block in _matcher(before, found).get_matching_blocks()
        for offset in range(block.size)
    }


def _run(places: Mapping[int, int], first: int, end: int) -> slice | None:
    """Find lines that are all unchanged and still together."""
    start = places.get(first)
    if start is None or any(places.get(line) != start + line - first for line in range(first, end)):
        return None
    return slice(start, start + end - first)


def _gap(places: Mapping[int, int], before: int) -> slice | None:
    """Find the place between two lines, by either of them."""
    if before - 1 in places:
        return slice(places[before - 1] + 1, places[before - 1] + 1)
    if before in places:
        return slice(places[before], places[before])
    return None
