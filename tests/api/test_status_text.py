"""Whatever services are called and whatever their reasons say, status stays a table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.api.details_text import Background, details_text
from reconciler.api.human import cells
from reconciler.api.page import NARROWEST, Page
from reconciler.api.status_text import footer, status_text
from reconciler.api.wire.base import document
from reconciler.api.wire.status import status_document
from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.log import LogLine
from reconciler.model.observed import Role, Slot, State
from reconciler.model.status import Health, ServiceStatus, Sync
from tests.api.builders import (
    FOLLOWED,
    HERE,
    name,
    process,
    scene,
    service,
    shop,
    slot_status,
    usage,
)
from tests.steps import steps_of

anything = st.text(max_size=90)
"""Control characters, half surrogate pairs, wide and combining ones included."""


@st.composite
def services(draw: st.DrawFn) -> list[ServiceStatus]:
    names = draw(st.lists(anything.filter(bool), min_size=1, max_size=5, unique=True))
    return [
        service(
            text,
            state=draw(st.sampled_from(State)),
            health=draw(st.sampled_from(Health)),
            sync=draw(st.sampled_from(Sync)),
            reason=draw(anything),
            slots=[
                slot_status(text, index, up=draw(st.none() | st.floats(0, 1e9)))
                for index in range(draw(st.integers(0, 3)))
            ],
        )
        for text in names
    ]


@given(services(), st.integers(NARROWEST, 200), anything)
@example([service("web", reason="\x1b]0;owned\x07")], NARROWEST, "日本語" * 9)
def test_no_line_is_wider_than_the_page(
    found: list[ServiceStatus], width: int, trouble: str
) -> None:
    text = status_text(scene(*found, troubles=(trouble,)), found, Page(width=width))
    assert [line for line in text.split("\n") if cells(line) > width] == []


@given(services(), anything)
def test_nothing_foreign_reaches_the_terminal_unspelled(
    found: list[ServiceStatus], said: str
) -> None:
    stage = scene(*found)
    line = LogLine(service=found[0].name, instance="x", stream="stdout", message=said, raw=said)
    texts = [
        status_text(stage, found, Page()),
        status_text(stage, found, Page(), wide=True),
        details_text(stage, found[0], Background(log=[line]), Page()),
    ]
    assert all(part.isprintable() for text in texts for part in text.split("\n"))


@given(services())
def test_every_service_has_its_row(found: list[ServiceStatus]) -> None:
    rows = status_text(scene(*found), found, Page(width=400)).split("\n")
    assert rows[len(found) + 1] == ""
    assert all(rows[: len(found) + 1])


def test_trouble_comes_first_and_what_is_wanted_stopped_last() -> None:
    chosen = [
        service("idle", state=State.STOPPED, health=Health.STOPPED),
        service("fine"),
        service("soon", health=Health.PROGRESSING, sync=Sync.OUT_OF_SYNC),
        service("bad", state=State.CRASHED, health=Health.DEGRADED),
        service("typo", sync=Sync.INVALID),
    ]
    rows = status_text(scene(*chosen), chosen, Page()).splitlines()[1:6]
    assert [row.split()[0] for row in rows] == ["bad", "typo", "soon", "fine", "idle"]


def test_the_uptime_is_the_youngest_slots_and_use_is_added_up() -> None:
    two = service("web", slots=[slot_status("web", 0, up=7200), slot_status("web", 1, up=60)])
    used = {Slot(service=name("web"), index=i): usage(1.5, 1 << 20) for i in (0, 1)}
    row = status_text(scene(two, usage=used), [two], Page()).splitlines()[1]
    assert row.split() == ["web", "running", "2/2", "Healthy", "1m", "0", "3%", "2.0M", "-"]


def test_one_that_helps_out_in_a_rollout_is_not_counted() -> None:
    slots = [slot_status("web", index) for index in (0, 1)]
    helper = slot_status("web", 2, state=State.STARTING)
    own = service("web", slots=slots)
    rolling = replace(own, slots=(*own.slots, helper))
    row = status_text(scene(rolling), [rolling], Page()).splitlines()[1]
    assert row.split()[:3] == ["web", "running", "2/2"]


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        (HERE, "4 of 6 as wanted at 9be0177"),
        (replace(HERE, dirty=("a",)), "4 of 6 as wanted at 9be0177 + 1 uncommitted file"),
        (replace(HERE, dirty=("a", "b")), "4 of 6 as wanted at 9be0177 + 2 uncommitted files"),
        (Revision(dirty=("a",)), "4 of 6 as wanted in the saved files (no commit yet)"),
    ],
    ids=["committed", "one saved file", "two saved files", "no commit"],
)
def test_the_footer_says_how_many_and_at_which_revision(revision: Revision, says: str) -> None:
    services = list(shop().picture.services.values())
    assert footer(scene(*services, revision=revision), services) == says


def test_colour_changes_no_letter() -> None:
    stage = shop()
    chosen = list(stage.picture.services.values())
    plain = status_text(stage, chosen, Page())
    coloured = status_text(stage, chosen, Page(colour=True))
    for code in ("\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_a_hundred_services_cost_little() -> None:
    """The daemon has 3 ms for all of it."""
    found = [service(f"service-{n}", reason="completed (0) 1 h ago") for n in range(100)]
    stage = scene(*found, usage={Slot(service=s.name, index=0): usage() for s in found})
    assert steps_of(lambda: status_text(stage, found, Page())) < 100 * 500
    assert steps_of(lambda: document(status_document(stage, found))) < 100 * 500


def test_the_page_of_a_service_tells_its_own_troubles_and_no_others() -> None:
    found = [service("web", slots=[slot_status("web")]), service("web-0x")]
    mine, other = "web-0 writes on to its log, which was deleted", "web-00 writes on to its log"
    text = details_text(scene(*found, troubles=(mine, other)), found[0], Background(), Page())
    assert f"trouble     {mine}" in text
    assert other not in text
    assert "nothing logged yet" not in text, "it did log, elsewhere"
    calm = details_text(scene(*found), found[0], Background(), Page())
    assert "nothing logged yet" in calm


def test_a_manifest_that_never_was_valid_is_not_said_to_be_missing() -> None:
    fault = Diagnostic(source=Source(file="f.yaml"), code="W1", message="it is bad")
    broken = replace(service("web"), desired=None, spec=None, invalid=(fault,))
    text = details_text(scene(broken), broken, Background(), Page())
    assert "no manifest" not in text
    assert "wanted      not known yet" in text


def test_the_page_of_a_service_names_a_hook_that_runs_and_says_since_when() -> None:
    slot = Slot(service=name("web"), index=0)
    hook = replace(process(slot, pid=4712, up=12), role=Role.PRE_START)
    alone = replace(slot_status("web", state=State.STARTING, up=None), errands=(hook,))
    found = service("web", slots=[alone])
    text = details_text(scene(found), found, Background(), Page())
    assert "runs        its preStart hook (pid 4712), for 12 s\n" in text
    # Where there are several instances, it says of which.
    found = service("web", slots=[alone, slot_status("web", 1)])
    text = details_text(scene(found), found, Background(), Page())
    assert "runs        web-0: its preStart hook (pid 4712), for 12 s\n" in text
    idle = service("web")
    assert "  runs  " not in details_text(scene(idle), idle, Background(), Page())


def test_who_follows_a_branch_is_not_told_to_write_a_manifest_here() -> None:
    empty = scene()
    followed = replace(empty, daemon=replace(empty.daemon, source=FOLLOWED))
    assert "weaver register" in status_text(empty, [], Page(width=80))
    told = "push a manifest in services.d/ to main of\ndeploy.git."
    assert told in status_text(followed, [], Page(width=80))
    held = replace(followed, picture=replace(followed.picture, source_held="it is not signed"))
    said = status_text(held, [], Page(width=80))
    assert said.startswith("Nothing runs here yet: there are no manifests to go by.\n!")
