"""Whatever a person has committed, staged and saved, a write-back keeps its promises."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.adapters.git.state import blob_id
from reconciler.manifest.intent import Intent, SetField
from reconciler.ports import Committed, WeaverError
from tests.git.asking import put, remove, set_field, write
from tests.git.scratch import Scratch, make

pytestmark = [pytest.mark.real, pytest.mark.slow]

SERVICES = ("one", "two")
TEXTS = ("command: a\n", "command: b\nnice: 1\n", "# mine\ncommand: c\nnice: 1\n")


@dataclass(frozen=True)
class Layers:
    """Which text a service has when committed, staged and saved; None for no file."""

    committed: int | None
    staged: int | None
    saved: int | None


def text_of(service: str, number: int | None) -> str | None:
    """Give one of the texts, as a manifest of this service."""
    return None if number is None else f"name: {service}\n{TEXTS[number]}"


CHOICES = st.one_of(st.none(), st.integers(0, len(TEXTS) - 1))
LAYERS = st.builds(Layers, CHOICES, CHOICES, CHOICES)
INTENTS = st.sampled_from(
    [
        set_field("z", "command", service="one"),
        set_field("5", "nice", service="one"),
        put("name: one\ncommand: z\n", "one"),
        remove("one"),
    ]
)


def arrange(folder: Path, layers: dict[str, Layers]) -> Scratch:
    """Make a repository in which each service is as told."""
    scratch = make(folder)
    scratch.write("README", "x\n")
    for choose in (attrgetter("committed"), attrgetter("staged")):
        for service, one in layers.items():
            save(scratch, service, choose(one))
        scratch.git("add", "-A")
        if scratch.git("rev-list", "--all") == "":
            scratch.git("commit", "-q", "-m", "first")
    for service, one in layers.items():
        save(scratch, service, one.saved)
    return scratch


def save(scratch: Scratch, service: str, number: int | None) -> None:
    """Save a service's file, or have none."""
    text = text_of(service, number)
    path = f"services.d/{service}.yaml"
    if text is None:
        scratch.path(path).unlink(missing_ok=True)
    else:
        scratch.write(path, text)


def look(scratch: Scratch, service: str) -> tuple[str | None, str | None, str | None]:
    """Give the three texts of a service."""
    path = f"services.d/{service}.yaml"
    saved = scratch.path(path)
    return (
        scratch.at("HEAD", path) if path in committed_paths(scratch) else None,
        scratch.at("", path) if path in scratch.staged_entries() else None,
        saved.read_text() if saved.exists() else None,
    )


def committed_paths(scratch: Scratch) -> list[str]:
    """List what HEAD has."""
    return scratch.git("ls-tree", "-r", "--name-only", "HEAD").split()


def ask(scratch: Scratch, intent: Intent) -> Committed | None:
    """Write back, or give None where it was refused."""
    try:
        return write(scratch, intent)
    except WeaverError:
        return None


@settings(max_examples=25)
@given(one=LAYERS, two=LAYERS, intent=INTENTS)
@example(Layers(0, 1, 2), Layers(0, 1, 2), remove("one"))
@example(Layers(0, None, 1), Layers(None, None, 0), put("name: one\ncommand: z\n", "one"))
def test_a_write_back_keeps_its_promises(one: Layers, two: Layers, intent: Intent) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = arrange(Path(folder, "repository"), {"one": one, "two": two})
        mine, neighbour, head = look(scratch, "one"), look(scratch, "two"), scratch.head()
        done = ask(scratch, intent)
        now = look(scratch, "one")

        assert look(scratch, "two") == neighbour
        assert scratch.git("diff", "--name-only", head, "HEAD").split() in (
            [], ["services.d/one.yaml"],
        )  # fmt: skip
        if done is None:
            assert (now, scratch.head()) == (mine, head)
            return
        assert done.changed == (scratch.head() != head)
        assert_nothing_lost(scratch, intent, mine, now)
        again = ask(scratch, intent)
        assert again is None or not again.changed
        assert look(scratch, "one") == now


def assert_nothing_lost(
    scratch: Scratch,
    intent: Intent,
    before: tuple[str | None, ...],
    after: tuple[str | None, ...],
) -> None:
    """Check that every text is still there, or one line of it changed, or git still has it."""
    for old, new in zip(before, after, strict=True):
        if old is None or old == new:
            continue
        if isinstance(intent, SetField):
            assert new is not None
            gone = set(old.splitlines()) - set(new.splitlines())
            assert all(line.startswith(f"{intent.path[0]}:") for line in gone)
        else:
            assert scratch.git("cat-file", "-t", blob_id(old.encode())) == "blob\n"
