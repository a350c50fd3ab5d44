"""What people ask of a daemon, answered by the real engine in a world of fakes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.adapters.timetable import WallTimetable
from reconciler.core.diff import Language
from reconciler.core.engine import Engine
from reconciler.core.launch import Surroundings, launch
from reconciler.model.change import Effect, Verb
from reconciler.model.log import LogQuery
from reconciler.model.observed import Exit, State
from reconciler.model.record import Memory
from reconciler.model.spec import Backoff, ServiceSpec
from reconciler.model.units import Nanos, ServiceName, milliseconds
from reconciler.ports import Author, EventRecord, NotFoundError
from reconciler.runtime.changes import Tools
from reconciler.runtime.checked import Charts
from reconciler.runtime.control import Control, Finding, Grade, Setting
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.live import FIRST_SIGHT_S, LiveControl, Parts
from reconciler.runtime.logbook import Logbook
from reconciler.runtime.messages import (
    ActionSeen,
    CommitMade,
    Converged,
    EventSeen,
    Message,
    Note,
    Phase,
    Planned,
    Problem,
    Summary,
)
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.requests import (
    Apply,
    ApprovePrune,
    Assignment,
    Change,
    Document,
    EventQuery,
    Goal,
    OperationRequest,
    PutManifest,
    RestartServices,
    RetryServices,
    Settle,
    SetValues,
    Shutdown,
    StartServices,
    StopServices,
    Terms,
    UndoLast,
    Unregister,
    WaitQuery,
)
from reconciler.runtime.world import World
from tests.runtime import fakes
from tests.runtime.fakes import slot, spec_of

WEB, DB, API = ServiceName("web"), ServiceName("db"), ServiceName("api")
CHAIN = ("db d1", "api d1 db", "web d1 api")
"""web needs api, which needs db."""
TERMS = Terms(author=Author(name="Ada", email="ada@example.org", uid=1000), timeout=5.0)


def describe(spec: ServiceSpec) -> dict[str, str]:
    return {"digest": spec.digest, "state": spec.state}


@dataclass
class Desk:
    """A daemon with a facade."""

    control: Control
    daemon: Daemon
    host: fakes.FakeHost
    manifests: fakes.FakeManifests
    repository: fakes.FakeRepository
    store: fakes.FakeStore
    prober: fakes.FakeProber

    async def change(
        self,
        request: Change,
        *,
        reason: str = "",
        dry_run: bool = False,
        wait: bool = True,
        limit_s: float = 5.0,
    ) -> list[Message]:
        terms = dataclasses.replace(
            TERMS, reason=reason, dry_run=dry_run, wait=wait, timeout=limit_s
        )
        return [message async for message in self.control.change(request, terms)]

    async def operate(self, request: OperationRequest) -> list[Message]:
        return [message async for message in self.control.operate(request, TERMS)]

    async def settled(self) -> None:
        assert code(await self.operate(Settle())) == 0

    def pid(self, name: ServiceName) -> int | None:
        process = self.host.processes.get(slot(name))
        return process.id.pid if process else None

    def state(self, name: ServiceName) -> State:
        return self.daemon.picture().services[name].state


def code(messages: list[Message]) -> int:
    summary = messages[-1]
    assert isinstance(summary, Summary)
    return summary.exit_code


def problems(messages: list[Message]) -> list[str]:
    return [message.title for message in messages if isinstance(message, Problem)]


def kinds(messages: list[Message]) -> list[str]:
    found: list[str] = []
    for message in messages:
        name = type(message).__name__
        if not found or found[-1] != name:
            found.append(name)
    return found


def actions(messages: list[Message]) -> list[tuple[str, Verb, Phase]]:
    return [(m.service, m.action, m.phase) for m in messages if isinstance(m, ActionSeen)]


def with_daemon(*texts: str, tmp_path: Path, story: Callable[[Desk], Awaitable[None]]) -> None:
    async def tell() -> None:
        desk, daemon = make_desk(texts, StatePaths.of(tmp_path))
        running = asyncio.create_task(daemon.run())
        try:
            await story(desk)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(tell())


def make_desk(texts: tuple[str, ...], paths: StatePaths) -> tuple[Desk, Daemon]:
    clock, host, store = fakes.FakeClock(), fakes.FakeHost(), fakes.FakeStore()
    manifests, prober = fakes.FakeManifests(*map(spec_of, texts)), fakes.FakeProber()
    repository = fakes.FakeRepository(manifests)
    logbook = Logbook(fakes.FakeLogs(), paths)
    world = World(
        clock=clock,
        host=host,
        prober=prober,
        store=store,
        manifests=manifests,
        timetable=WallTimetable(clock),
        before_start=logbook.mark_start,
    )
    daemon = Daemon(Engine(Memory(boot=fakes.BOOT)), world)

    async def tail(name: ServiceName) -> tuple[str, ...]:
        return await logbook.tail(name, daemon)

    async def renew_holder() -> str:
        return ""

    around = Surroundings(root=str(paths.root), log_dir=str(paths.logs), base_env={"PATH": "/bin"})
    control = LiveControl(
        daemon,
        Parts(
            paths=paths,
            clock=clock,
            store=store,
            logbook=logbook,
            sampler=fakes.FakeSampler(),
            tools=Tools(
                repository=repository,
                drafts=fakes.FakeDrafts(manifests),
                language=Language(describe=describe, effect_of=lambda _: Effect.RESTART),
                tail=tail,
                auto_commit=lambda: True,
            ),
            prepare=lambda spec, where, run: launch(spec, where, run, around),
            holder_pid=lambda: 2,
            renew_holder=renew_holder,
            settings=lambda: [Setting(path="git.autoCommit", value="true", is_default=True)],
            troubles=lambda: ["the watch is blind", ""],
            examine=lambda: [Finding(check="disk", grade=Grade.OK, text="fine")],
            metrics_listen=lambda: "",
            ways=dict,
            charts=Charts,
        ),
    )
    desk = Desk(
        control=control,
        daemon=daemon,
        host=host,
        manifests=manifests,
        repository=repository,
        store=store,
        prober=prober,
    )
    return desk, daemon


# --- changes ---------------------------------------------------------------------------------


def test_a_value_is_set_committed_and_followed(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        pids = {name: desk.pid(name) for name in (DB, API, WEB)}
        request = SetValues(service=WEB, assignments=(Assignment(path="env.PORT", value="8001"),))
        messages = await desk.change(request, reason="the old one is taken")
        assert kinds(messages)[0] == "Planned"
        assert "CommitMade" in kinds(messages)
        assert kinds(messages)[-2:] == ["Converged", "Summary"]
        assert actions(messages) == [
            (WEB, Verb.RESTART, Phase.START),
            (WEB, Verb.RESTART, Phase.START),
            (WEB, Verb.RESTART, Phase.DONE),
        ]
        [commit] = desk.repository.requests
        assert commit.subject == "web: set env.PORT=8001"
        assert (commit.op, commit.services, commit.reason) == (
            "set",
            (WEB,),
            "the old one is taken",
        )
        assert desk.pid(WEB) != pids[WEB]
        assert (desk.pid(DB), desk.pid(API)) == (pids[DB], pids[API])
        assert isinstance(messages[-1], Summary)
        assert messages[-1].undo == "weaver undo"

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_the_record_says_who_committed(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        await desk.change(Apply(documents=(Document(text="web d2 api"),)))
        events = [event for event in desk.store.written if event.kind == "git.committed"]
        assert len(events) == 1
        restarted = [e for e in desk.store.written if e.kind == "service.starting"][-1]
        assert restarted.actor == "uid:1000"
        assert restarted.revision == desk.manifests.commit

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_restart_after_a_crash_is_in_nobody_s_name(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        await desk.change(Apply(documents=(Document(text="web d2 api"),)))
        desk.host.kill(slot(WEB), Exit(at=Nanos(0), code=1))
        await desk.settled()
        told = [event.kind for event in desk.store.written]
        # What the change led to may be written after its answer, and before the crash.
        after = desk.store.written[told.index("service.crashed") :]
        assert "service.starting" in {event.kind for event in after}
        assert [event.actor for event in after] == [""] * len(after)

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_nothing_changed_is_no_commit_and_no_restart(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        pid = desk.pid(WEB)
        messages = await desk.change(Apply(documents=(Document(text="web d1 api"),)))
        assert code(messages) == 0
        [made] = [message for message in messages if isinstance(message, CommitMade)]
        assert not made.changed
        assert desk.pid(WEB) == pid

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        request = Apply(documents=(Document(text="web d2 api"),))
        messages = await desk.change(request, dry_run=True)
        assert kinds(messages) == ["Planned", "Summary"]
        planned = messages[0]
        assert isinstance(planned, Planned)
        [change] = planned.preview.changes
        assert (change.service, change.verbs) == (WEB, (Verb.RESTART,))
        assert planned.preview.files[0].path == "services.d/web.yaml"
        assert not desk.repository.requests

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_an_invalid_change_is_refused_with_its_faults(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(Apply(documents=(Document(text="web bad"),)))
        assert code(messages) == 2
        [problem] = [message for message in messages if isinstance(message, Problem)]
        assert [fault.message for fault in problem.diagnostics] == ["it is bad"]
        assert not desk.repository.requests

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_faults_of_others_do_not_stand_in_the_way(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.change(Apply(documents=(Document(text="api d2"),)))
        assert desk.state(API) is State.RUNNING

    with_daemon("web bad", "api d1", tmp_path=tmp_path, story=story)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("web d2\nweb d3", "cannot apply: web is defined more than once in what was given"),
        ("", "cannot apply: no service is defined in what was given"),
    ],
)
def test_what_makes_no_sense_to_apply_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    async def story(desk: Desk) -> None:
        messages = await desk.change(Apply(documents=(Document(text=text),)))
        assert (code(messages), problems(messages)) == (2, [problem])

    with_daemon(tmp_path=tmp_path, story=story)


def test_a_service_that_does_not_come_up_is_a_failure_with_its_last_lines(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.host.refuse = "cannot run x: no such file"
        messages = await desk.change(Apply(documents=(Document(text="new d1"),)))
        assert code(messages) == 4
        [problem] = [message for message in messages if isinstance(message, Problem)]
        assert "new is not as wanted: cannot run x: no such file" in problem.title
        assert problem.log_tail[0].startswith("line 0 of ")
        assert ("new", Verb.START, Phase.FAILED) in actions(messages)
        assert isinstance(messages[-1], Summary)
        assert messages[-1].undo == "weaver undo"

    with_daemon("db d1", tmp_path=tmp_path, story=story)


def test_time_that_is_up_is_said(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.host.ignores_sigterm = True
        request = Apply(documents=(Document(text="db d2"),))
        messages = await desk.change(request, limit_s=0.05)
        assert code(messages) == 9
        assert "time is up" in problems(messages)[0]

    with_daemon("db d1", tmp_path=tmp_path, story=story)


def test_nobody_has_to_wait(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(Apply(documents=(Document(text="db d2"),)), wait=False)
        assert kinds(messages) == ["Planned", "CommitMade", "Summary"]
        assert code(messages) == 0

    with_daemon("db d1", tmp_path=tmp_path, story=story)


def test_stopping_a_need_is_refused_and_names_who_needs_it(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(StopServices(services=(DB,)))
        assert code(messages) == 5
        assert problems(messages) == ["cannot stop db: api and web need it and run"]
        assert not desk.repository.requests

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_need_stops_alone_when_told_to(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        pid = desk.pid(WEB)
        assert code(await desk.change(StopServices(services=(DB,), only=True))) == 0
        assert desk.state(DB) is State.STOPPED
        assert desk.pid(WEB) == pid

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_need_stops_after_its_dependents_in_one_commit(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(StopServices(services=(DB,), with_dependents=True))
        assert code(messages) == 0
        ends = [a for a in actions(messages) if a[1:] == (Verb.STOP, Phase.DONE)]
        assert [name for name, _, _ in ends] == [WEB, API, DB]
        assert len(desk.repository.requests) == 1

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_what_is_stopped_is_started_by_a_commit(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        await desk.change(StopServices(services=(WEB,)))
        assert code(await desk.change(StartServices(services=(WEB,)))) == 0
        assert desk.state(WEB) is State.RUNNING
        assert [request.op for request in desk.repository.requests] == ["stop", "start"]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_what_crashed_is_started_without_a_commit(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.host.refuse = "no such program"
        desk.host.kill(slot(WEB), Exit(at=Nanos(0), code=1))
        await desk.daemon.caught_up()
        result = await desk.control.wait(WaitQuery(goal=Goal.RUNNING, services=(WEB,), timeout=0.1))
        assert result.exit_code == 9
        desk.host.refuse = ""
        messages = await desk.change(StartServices(services=(WEB,)))
        assert code(messages) == 0
        assert desk.state(WEB) is State.RUNNING
        assert not desk.repository.requests

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_registering_twice_is_refused(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        new = PutManifest(service=API, text="api d1", create=True)
        assert code(await desk.change(new)) == 0
        assert desk.state(API) is State.RUNNING
        messages = await desk.change(new)
        assert code(messages) == 10
        assert problems(messages) == [
            "cannot register api: it exists already (services.d/api.yaml:1:1)"
        ]

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_a_manifest_of_another_name_is_not_written(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(PutManifest(service=WEB, text="api d1", create=False))
        assert (code(messages), problems(messages)) == (
            2,
            ["cannot write web: the text defines api"],
        )

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_unregistering_what_others_need_is_refused_or_takes_them_too(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(Unregister(services=(API,)))
        assert (code(messages), problems(messages)) == (
            5,
            ["cannot unregister api: web needs it"],
        )
        messages = await desk.change(Unregister(services=(API,), cascade=True))
        assert code(messages) == 0
        assert set(desk.daemon.picture().services) == {DB}
        assert set(desk.host.processes) == {slot(DB)}

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_removing_all_by_name_needs_no_second_yes(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        assert code(await desk.change(Unregister(services=(DB,), cascade=True))) == 0
        assert not desk.host.processes

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_an_unknown_name_is_met_with_the_nearest_one(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(StopServices(services=(ServiceName("wep"),)))
        assert code(messages) == 6
        [problem] = [message for message in messages if isinstance(message, Problem)]
        assert problem.mend == "did you mean web?"

    with_daemon("web d1", tmp_path=tmp_path, story=story)


def test_undo_takes_the_last_change_back(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        await desk.change(StopServices(services=(WEB,)))
        messages = await desk.change(UndoLast())
        assert code(messages) == 0
        assert desk.state(WEB) is State.RUNNING
        assert isinstance(messages[-2], Converged)
        assert messages[-2].services == (WEB,)

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


# --- operations ------------------------------------------------------------------------------


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


# --- questions -------------------------------------------------------------------------------


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
