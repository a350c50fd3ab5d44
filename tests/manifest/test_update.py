"""How a new version is to come, as manifests say it."""

from __future__ import annotations

import pytest

from reconciler.model.units import seconds
from reconciler.model.update import OnFailure, Update, UpdateOrder
from tests.manifest.reading import faults, spec

WEB = "name: web\ncommand: x\ninstances: 3\n"


def update_of(text: str) -> Update:
    return spec(text).update


def test_all_of_it_is_read() -> None:
    said = "update: {order: stop-first, maxUnavailable: 2, minReady: 5s, onFailure: rollback"
    said += ", revert: true}\n"
    assert update_of(WEB + said) == Update(
        order=UpdateOrder.STOP_FIRST,
        max_unavailable=2,
        min_ready=seconds(5),
        on_failure=OnFailure.ROLLBACK,
        revert=True,
    )
    assert update_of(WEB) == Update()


@pytest.mark.parametrize(
    ("said", "unavailable", "surge"),
    [
        ("{}", 0, 1),
        ("{order: stop-first}", 1, 0),
        ("{maxSurge: 2, maxUnavailable: 1}", 1, 2),
        ("{maxSurge: 0}", 1, 0),
        ("{order: stop-first, maxUnavailable: 2}", 2, 0),
    ],
)
def test_there_is_always_room_for_a_change(said: str, unavailable: int, surge: int) -> None:
    update = update_of(f"{WEB}update: {said}\n")
    assert (update.unavailable, update.surge) == (unavailable, surge)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: web\ncommand: x\nupdate: {minReady: 5s}\n", ["3:1 W211"]),
        (f"{WEB}update: {{order: stop-first, maxSurge: 1}}\n", ["4:29 W211"]),
        (f"{WEB}update: {{order: stop-first, maxUnavailable: 0}}\n", ["4:45 W212"]),
        (f"{WEB}update: {{maxSurge: 0, maxUnavailable: 0}}\n", ["4:39 W212"]),
        (f"{WEB}update: {{revert: true}}\n", ["4:10 W211"]),
        (f"{WEB}type: oneshot\nupdate: {{minReady: 5s}}\n", ["5:1 W211"]),
    ],
)
def test_what_does_nothing_or_lets_nothing_change_is_refused(text: str, found: list[str]) -> None:
    assert faults(text) == found
