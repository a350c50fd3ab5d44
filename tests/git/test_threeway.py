"""Taking a step back in a text that has moved on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.git.threeway import apply_step

TEXTS = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"]), max_size=8).map(
    b"".join
)


@pytest.mark.parametrize(
    ("now", "base", "other", "expected"),
    [
        (b"a\nB\nc\n", b"a\nb\nc\n", b"A\nb\nc\n", b"A\nB\nc\n"),
        (b"a\nB\nc\n", b"a\nb\nc\n", b"a\nb\nC\n", b"a\nB\nC\n"),
        (b"a\nB\nc\n", b"a\nb\nc\n", b"a\nx\nc\n", None),
        (b"a\nb\n# mine\n", b"a\nb\n", b"a\n", b"a\n# mine\n"),
        (b"# mine\na\n", b"a\n", b"a\nb\n", b"# mine\na\nb\n"),
        (b"a\n# mine\nb\n", b"a\nb\n", b"x\n", None),
        (b"A\nb\n", b"a\nb\n", b"a\nn\nb\n", b"A\nn\nb\n"),
        (b"", b"", b"a\n", b"a\n"),
        (b"x\n", b"a\n", b"b\na\n", None),
        (b"a\r\nB\r\n", b"a\nb\n", b"c\nb\n", b"c\r\nB\r\n"),
        (b"a\n" * 6000, b"a\n" * 5999, b"b\n", None),
    ],
    ids=[
        "neighbour-above", "neighbour-below", "the-same-line", "added-below", "added-above",
        "in-the-middle", "insert-beside-a-change", "into-nothing", "no-anchor", "other-line-ends",
        "too-long",
    ],
)  # fmt: skip
def test_a_step_is_applied_where_its_lines_are_unchanged(
    now: bytes, base: bytes, other: bytes, expected: bytes | None
) -> None:
    assert apply_step(now, base, other) == expected


@given(TEXTS, TEXTS)
def test_where_nothing_moved_the_step_is_the_whole_change(base: bytes, other: bytes) -> None:
    assert apply_step(base, base, other) == other


@given(TEXTS, TEXTS)
def test_no_step_changes_nothing(now: bytes, base: bytes) -> None:
    assert apply_step(now, base, base) == now


@given(TEXTS, TEXTS, st.integers(min_value=0, max_value=8))
def test_a_line_of_theirs_is_never_lost(base: bytes, other: bytes, at: int) -> None:
    lines = base.splitlines(keepends=True)
    lines.insert(at, b"theirs\n")
    merged = apply_step(b"".join(lines), base, other)
    assert merged is None or merged.count(b"theirs\n") == 1
