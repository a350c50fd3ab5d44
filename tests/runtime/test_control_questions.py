"""Questions that people ask of a daemon: how it is, why, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.model.log import LogQuery
from reconciler.model.observed import Exit
from reconciler.model.units import SECOND, Nanos, ServiceName
from reconciler.ports import EventRecord, NotFoundError, Usage
from reconciler.runtime.live import FIRST_SIGHT_S
from reconciler.runtime.messages import (
    EventSeen,
)
from reconciler.runtime.requests import (
    Apply,
    Document,
    EventQuery,
    Goal,
    Settle,
    WaitQuery,
)
from tests.runtime.control_desk import API, CHAIN, DB, WEB, Desk, with_daemon
from tests.runtime.fakes import BEGINNING, FakeSampler, slot, spec_of


def test_the_scene_has_usage_facts_and_troubles(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.store.trouble = "disk full"
        scene = await desk.control.scene()
        assert set(scene.usage) == {slot(name) for name in (DB, API, WEB)}
        assert scene.daemon.root == str(tmp_path)
        assert scene.daemon.troubles == ("disk full", "the watch is blind")
        assert scene.wall_at(scene.picture.now) == scene.wall

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_figures_that_are_long_in_coming_move_no_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(self: object, targets: object, *, within_s: float) -> dict[str, Usage]:
        del self, targets, within_s
        await asyncio.sleep(0.02)
        return {}

    monkeypatch.setattr(FakeSampler, "sample", lambda *_: {})
    monkeypatch.setattr(FakeSampler, "fresh", slowly)

    async def story(desk: Desk) -> None:
        await desk.settled()
        scene = await desk.control.scene()
        at = scene.picture.now
        assert scene.wall_at(at) == pytest.approx(BEGINNING + at / SECOND, abs=1e-3)

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_there_is_nothing_to_preview_when_all_is_as_wanted(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        preview = await desk.control.preview()
        assert preview.is_empty
        assert preview.unchanged == 3

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_why_follows_what_is_waited_for(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.host.refuse = "no such program"
        await desk.operate(Settle())
        chain = await desk.control.why(WEB)
        assert [(link.service, link.depth) for link in chain] == [(WEB, 0), (API, 1), (DB, 2)]
        assert "no such program" in chain[-1].because

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


@pytest.mark.parametrize("goal", [Goal.RUNNING, Goal.READY, Goal.HEALTHY, Goal.SYNCED])
def test_waiting_ends_when_the_goal_is_reached(tmp_path: Path, goal: Goal) -> None:
    async def story(desk: Desk) -> None:
        result = await desk.control.wait(WaitQuery(goal=goal, timeout=5))
        assert (result.exit_code, result.missing) == (0, {})

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_waiting_in_vain_ends_at_once(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        result = await desk.control.wait(WaitQuery(goal=Goal.COMPLETED, services=(WEB,)))
        assert result.exit_code == 7
        assert result.missing == {WEB: "it is no oneshot, so it never completes"}

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_waiting_for_a_revision_that_does_not_come_times_out(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        query = WaitQuery(goal=Goal.SYNCED, services=(WEB,), revision="beef", timeout=0.05)
        result = await desk.control.wait(query)
        assert result.exit_code == 9
        assert "revision beef is not the one followed" in result.missing[WEB]

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_following_gives_what_was_missed_and_then_what_comes(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        stored = await desk.control.events(EventQuery())
        events: AsyncIterator[EventRecord] = desk.control.follow(EventQuery(after=stored[1].seq))
        missed = [await anext(events) for _ in stored[2:]]
        assert missed == list(stored[2:])
        desk.host.kill(slot(WEB), Exit(at=Nanos(0), code=1))
        fresh = await anext(events)
        assert (fresh.seq, fresh.kind) == (stored[-1].seq + 1, "service.crashed")

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_logs_are_found(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        lines = [line async for line in desk.control.logs(LogQuery(services=(WEB,)))]
        assert {line.raw for line in lines} == {
            f"line {n} of {tmp_path}/.weaver/logs/web/0.log" for n in range(3)
        }
        with pytest.raises(NotFoundError):
            [line async for line in desk.control.logs(LogQuery(services=(ServiceName("x"),)))]
        for services, who in (((WEB,), "web has no"), ((), "none of these services has an")):
            with pytest.raises(NotFoundError, match=f"{who} instance 7") as why:
                [line async for line in desk.control.logs(LogQuery(services=services, instance=7))]
            assert why.value.mend == "--instance takes 0 here"
        asked = LogQuery(services=(WEB,), instance=0)
        assert [line async for line in desk.control.logs(asked)]

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_a_service_s_surroundings_do_not_have_its_mark(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        found = await desk.control.surroundings(WEB)
        assert found.cwd == str(tmp_path)
        assert found.env["WEAVER_SERVICE"] == "web"
        assert "WEAVER_RUN" not in found.env

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_events_that_are_told_are_those_of_the_services_that_take_part(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.host.kill(slot(DB), Exit(at=Nanos(0), code=1))
        messages = await desk.change(Apply(documents=(Document(text="api d2"),)))
        events = [message.event for message in messages if isinstance(message, EventSeen)]
        assert {event.service for event in events} == {"api"}

    with_daemon("db d1", "api d1", tmp_path=tmp_path, story=story)


def test_a_status_does_not_wait_for_manifests_that_cannot_be_read(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.manifests.held = "cannot read services.d: no such file or directory"
        async with asyncio.timeout(FIRST_SIGHT_S / 2):
            scene = await desk.control.scene()
        assert scene.picture.source_held == desk.manifests.held

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_a_status_shows_a_commit_that_the_watch_has_not_told_yet(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.manifests.save(spec_of("web d2"), is_told=False)
        scene = await desk.control.scene()
        assert scene.picture.revision.commit == desk.manifests.commit

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_a_status_reads_nothing_where_no_commit_was_made(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        reads = desk.manifests.reads
        await desk.control.scene()
        assert desk.manifests.reads == reads

    with_daemon("web d1", tmp_path=tmp_path, story=story)
