"""Changes that people ask of a daemon: written, committed, followed, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.change import Verb
from reconciler.model.observed import Exit, State
from reconciler.model.status import Sync
from reconciler.model.units import Nanos, ServiceName
from reconciler.runtime.messages import (
    CommitMade,
    Converged,
    Phase,
    Planned,
    Problem,
    Summary,
)
from reconciler.runtime.requests import (
    Apply,
    Assignment,
    Document,
    Goal,
    PutManifest,
    Revert,
    SetValues,
    StartServices,
    StopServices,
    UndoLast,
    Unregister,
    WaitQuery,
)
from tests.runtime.control_desk import (
    API,
    CHAIN,
    DB,
    WEB,
    Desk,
    actions,
    code,
    kinds,
    problems,
    with_daemon,
)
from tests.runtime.fakes import slot


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


def test_the_last_action_is_told_though_it_is_written_down_slowly(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.store.passes = 500
        for port in range(8001, 8006):
            request = SetValues(
                service=WEB, assignments=(Assignment(path="env.PORT", value=str(port)),)
            )
            messages = await desk.change(request)
            assert code(messages) == 0
            assert actions(messages)[-1] == (WEB, Verb.RESTART, Phase.DONE)

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


def test_what_is_protected_is_not_removed_by_a_command(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        messages = await desk.change(Unregister(services=(WEB,)))
        assert (code(messages), problems(messages)) == (
            5,
            ["cannot unregister web: it is protected"],
        )
        messages = await desk.change(PutManifest(service=WEB, text="web d2", create=False))
        assert (code(messages), problems(messages)) == (
            5,
            ["cannot edit web: it is protected, and the new text does not say `protect`"],
        )
        assert set(desk.host.processes) == {slot(WEB)}
        lifted = PutManifest(service=WEB, text="web d1 unprotected", create=False)
        assert code(await desk.change(lifted)) == 0
        assert code(await desk.change(Unregister(services=(WEB,)))) == 0
        assert not desk.host.processes

    with_daemon("web d1 protected", tmp_path=tmp_path, story=story)


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


def test_what_is_applied_for_a_while_is_not_committed_and_can_be_ended(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        pid = desk.pid(WEB)
        request = Apply(documents=(Document(text="web d2 api"),), lasts=7200.0)
        rehearsed = await desk.change(request, dry_run=True)
        assert code(rehearsed) == 0
        assert desk.daemon.picture().services[WEB].overlay is None
        messages = await desk.change(request, reason="look for the leak")
        assert code(messages) == 0
        assert "CommitMade" not in kinds(messages)
        assert isinstance(messages[-1], Summary)
        assert messages[-1].text.endswith(", for 2h, not committed")
        assert messages[-1].undo == "weaver revert web"
        assert desk.pid(WEB) != pid
        status = desk.daemon.picture().services[WEB]
        assert (status.sync, status.reason_code) == (Sync.OUT_OF_SYNC, "Ephemeral")
        [drift] = (await desk.control.preview()).drift
        assert [(one.path, one.before, one.after) for one in drift.fields] == [
            ("digest", "d2", "d1")
        ]
        waited = await desk.control.wait(WaitQuery(goal=Goal.SYNCED, services=(WEB,)))
        assert (waited.exit_code, list(waited.missing)) == (7, [WEB])
        assert code(await desk.operate(Revert(services=(WEB,)))) == 0
        assert desk.daemon.picture().services[WEB].sync is Sync.SYNCED
        assert (await desk.control.preview()).is_empty
        assert desk.repository.requests == []
        assert code(await desk.operate(Revert(services=(WEB,)))) == 6
        told = [one.kind for one in desk.store.written if one.kind.startswith("drift.")]
        assert told == ["drift.begun", "drift.ended"]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_commit_of_the_same_service_ends_what_was_applied_for_a_while(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        for text in ("web d2 api", "db d2"):
            await desk.change(Apply(documents=(Document(text=text),), lasts=60.0))
        assert code(await desk.change(Apply(documents=(Document(text="web d3 api"),)))) == 0
        services = desk.daemon.picture().services
        assert (services[WEB].overlay, services[WEB].sync) == (None, Sync.SYNCED)
        assert services[DB].overlay is not None
        # What git says already needs no time limit.
        assert code(await desk.change(Apply(documents=(Document(text="db d1"),), lasts=60.0))) == 0
        assert desk.daemon.picture().services[DB].overlay is None

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)
