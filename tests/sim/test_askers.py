"""What people ask for all day while daemons die: the days, played alone, and what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from reconciler.runtime.pending import Asked, text_of
from reconciler.runtime.requests import Apply, Document, StopServices
from tests.runtime.control_desk import CHAIN, TERMS, WEB, Desk, code, with_daemon
from tests.sim.askers import ask_for_a_day


@pytest.mark.parametrize("first", [0, 20, 40, 60])
def test_whatever_becomes_of_a_daemon_no_change_is_lost_or_made_twice(first: int) -> None:
    for seed in range(first, first + 20):
        ask_for_a_day(seed)


def applying(text: str) -> Apply:
    return Apply(documents=(Document(text=text),))


def leave(desk: Desk, text: str) -> None:
    """Leave a change that an earlier daemon would have kept."""
    one = Asked(id="77aa", request=applying(text), terms=TERMS, base="c0")
    desk.store.changes[one.id] = text_of(one)


def test_a_new_change_does_not_overtake_what_an_earlier_daemon_kept(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        leave(desk, "web d2")
        _, told = await asyncio.gather(desk.control.resuming.run(), desk.change(applying("web d3")))
        assert code(told) == 0
        assert desk.repository.requests[0].op_id == "77aa"
        assert desk.manifests.specs[WEB].digest == "d3"

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_new_change_is_refused_while_an_older_one_cannot_be_made(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        leave(desk, "web d2")
        desk.repository.unreachable = "cannot reach the other side"
        resuming = asyncio.create_task(desk.control.resuming.run(pause_s=0.01))
        async with asyncio.timeout(10):
            while not desk.control.resuming.problem:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        told = await desk.change(applying("web d3"))
        assert code(told) == 5
        assert desk.store.changes.keys() == {"77aa"}
        desk.repository.unreachable = ""
        await resuming
        assert code(await desk.change(applying("web d3"))) == 0

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_who_is_told_of_a_refusal_finds_it_kept_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        let_go, is_told_late = desk.store.let_go, asyncio.Event()

        async def slowly(changes: Sequence[str]) -> None:
            await is_told_late.wait()
            await let_go(changes)

        monkeypatch.setattr(desk.store, "let_go", slowly)
        refused = asyncio.create_task(desk.change(applying("web bad")))
        for _ in range(50):
            await asyncio.sleep(0)
        assert not refused.done()
        is_told_late.set()
        assert code(await refused) == 2
        assert desk.store.changes == {}

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_stop_for_a_while_is_not_kept_to_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        kept: list[str] = []

        async def keep(change: str, text: str) -> None:
            del text
            kept.append(change)

        monkeypatch.setattr(desk.store, "keep", keep)
        assert code(await desk.change(StopServices(services=(WEB,), lasts=60.0))) == 0
        assert kept == []

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)
