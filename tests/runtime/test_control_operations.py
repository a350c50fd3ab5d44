"""Operations that people ask of a daemon: restarts, retries, removals, the end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from reconciler.model.change import Verb
from reconciler.model.observed import State
from reconciler.model.spec import Backoff
from reconciler.model.units import milliseconds
from reconciler.runtime.messages import (
    Note,
    Phase,
    Summary,
)
from reconciler.runtime.requests import (
    Apply,
    ApprovePrune,
    Document,
    RestartServices,
    RetryServices,
    Scale,
    Settle,
    Shutdown,
    StopServices,
    Unregister,
)
from tests.runtime.control_desk import (
    API,
    CHAIN,
    DB,
    WEB,
    Desk,
    actions,
    code,
    problems,
    with_daemon,
)
from tests.runtime.fakes import spec_of


def test_a_restart_replaces_processes_and_commits_nothing(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        web, db = desk.pid(WEB), desk.pid(DB)
        messages = await desk.operate(RestartServices(services=(WEB,)))
        assert code(messages) == 0
        assert desk.pid(WEB) not in (web, None)
        assert desk.pid(DB) == db
        assert not desk.repository.requests
        assert (WEB, Verb.RESTART, Phase.DONE) in actions(messages)

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_restarting_what_is_stopped_says_so(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        await desk.change(StopServices(services=(WEB,)))
        messages = await desk.operate(RestartServices(services=(WEB,)))
        assert Note(text="web is not started: its manifest says stopped") in messages
        assert desk.state(WEB) is State.STOPPED

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_a_retry_starts_what_gave_up(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        spec = dataclasses.replace(
            spec_of("web d1"), max_restarts=0, backoff=Backoff(initial=milliseconds(1))
        )
        desk.host.refuse = "no luck"
        desk.manifests.save(spec)
        assert code(await desk.operate(Settle())) == 4
        desk.host.refuse = ""
        assert code(await desk.operate(RetryServices(services=(WEB,)))) == 0
        assert desk.state(WEB) is State.RUNNING

    with_daemon(tmp_path=tmp_path, story=story)


def test_a_large_removal_waits_for_a_yes(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.manifests.save()
        await desk.daemon.source.refresh()
        await desk.daemon.caught_up()
        assert len(desk.host.processes) == 3
        held = desk.daemon.picture().prune
        assert held is not None
        messages = await desk.operate(ApprovePrune(prune_id="nonsense"))
        assert code(messages) == 6
        assert code(await desk.operate(ApprovePrune(prune_id=held.id))) == 0
        assert not desk.host.processes

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_what_waits_for_its_removal_is_restarted_and_else_not_touched(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        before = desk.pid(WEB)
        desk.manifests.save()
        await desk.daemon.source.refresh()
        await desk.daemon.caught_up()
        messages = await desk.operate(RestartServices(services=(WEB,)))
        assert code(messages) == 0
        assert desk.pid(WEB) not in (before, None)
        [why] = [one.text for one in messages if isinstance(one, Note)]
        assert why.startswith("web keeps its version: removed from the manifests, but ")
        for request in (
            Apply(documents=(Document(text="web d2"),), lasts=60.0),
            StopServices(services=(WEB,)),
            StopServices(services=(WEB,), lasts=60.0),
            Scale(counts=((WEB, 2),)),
            Unregister(services=(WEB,)),
        ):
            messages = await desk.change(request)
            assert code(messages) == 5, request
            assert "removed from the manifests" in problems(messages)[0]
        assert not desk.repository.requests
        assert code(await desk.change(Apply(documents=(Document(text="web d1"),)))) == 0

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_settling_names_what_failed_and_what_waits_for_it(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        desk.host.refuse = "no such program"
        messages = await desk.operate(Settle())
        assert code(messages) == 4
        assert min(problems(messages)).startswith("api is not as wanted: needs db")
        assert len(problems(messages)) == 3

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_shutdown_stops_everything_in_order(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.operate(Shutdown())
        assert code(messages) == 0
        assert desk.daemon.is_over
        ends = [a for a in actions(messages) if a[1:] == (Verb.STOP, Phase.DONE)]
        assert [name for name, _, _ in ends] == [WEB, API, DB]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_services_can_be_kept(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.operate(Shutdown(keep_services=True))
        assert code(messages) == 0
        assert isinstance(messages[-1], Summary)
        assert "3 services running under the holder" in messages[-1].text
        assert len(desk.host.processes) == 3

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)
