"""What a change of the manifests does, and above all what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.desired import Definition, ManifestSet
from reconciler.model.diagnostic import Source
from reconciler.model.event import OperationKind
from reconciler.model.observed import State
from reconciler.model.spec import RestartPolicy, ServiceSpec
from reconciler.model.status import Health, Sync
from reconciler.model.units import Nanos, seconds
from tests.core.building import STOPPED, follows, manifests, name, oneshot, probed, service
from tests.sim.host import Program
from tests.sim.world import World


def test_a_change_restarts_that_service_and_no_other() -> None:
    web, api, db = service("web", "api"), service("api", "db"), service("db")
    world = World(web, api, db)
    world.settle()
    before = world.pids()
    world.save(web, service("api", "db", edition=2), db)
    world.settle()
    after = world.pids()
    assert {slot for slot in before if before[slot] != after[slot]} == {world.run_of("api").slot}
    assert world.run_of("api").digest == "api@2"
    assert world.status("api").slots[0].restarts == 0
    assert world.arrives()


@pytest.mark.parametrize(
    "fields",
    [
        {"description": "serves pages"},
        {"labels": {"tier": "front"}},
        {"display_name": "The web"},
        {"version": "1.2.3"},
        {"stop_timeout": seconds(30)},
        {"restart": RestartPolicy.NEVER},
        {"max_restarts": 3},
        {"start_timeout": seconds(3)},
    ],
)
def test_a_field_that_does_not_reach_the_process_restarts_nothing(
    fields: dict[str, Any],
) -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    changed = service("web", **fields)
    world.save(changed)
    world.settle()
    assert world.pids() == before
    assert world.happened("config.changed") == ["its manifest changed"]
    assert world.memory.services[name("web")].spec == changed
    assert world.arrives()


def test_g22_a_file_that_is_renamed_touches_nothing() -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    moved = Source(file="services.d/front/web.yaml")
    world.read(
        ManifestSet(definitions={name("web"): Definition(spec=service("web"), source=moved)})
    )
    world.settle()
    assert world.pids() == before
    assert world.status("web").source == moved
    assert world.memory.services[name("web")].source == moved
    assert world.happened("config.changed") == []


def test_the_order_of_files_means_nothing() -> None:
    world = World(service("a"), service("b"), service("c"))
    world.settle()
    before = world.pids()
    world.save(service("c"), service("a"), service("b"))
    world.settle()
    assert world.pids() == before


def test_a_changed_service_takes_a_new_version_at_once_however_often_it_failed() -> None:
    world = World(service("web"), web=Program(lives_for=Nanos(0), code=1))
    world.pass_time(100)
    world.become(web=Program())
    world.save(service("web", edition=2))
    world.step()
    assert world.state("web") is State.STARTING
    world.settle()
    shown = world.status("web").slots[0]
    assert (shown.restarts, shown.state) == (0, State.RUNNING)


def test_instances_come_and_go_at_the_end() -> None:
    world = World(service("web", instances=2))
    world.settle()
    first, second = world.run_of("web", 0), world.run_of("web", 1)
    world.save(service("web", instances=4))
    world.settle()
    assert world.run_of("web", 0) is first
    assert len(world.pids()) == 4
    world.save(service("web", instances=1))
    world.settle()
    assert world.run_of("web", 0) is first
    assert second.is_empty
    assert len(world.pids()) == 1
    assert len(world.status("web").slots) == 1
    assert world.arrives()


def test_state_stopped_stops_and_state_running_starts() -> None:
    world = World(service("web"))
    world.settle()
    world.save(service("web", state=STOPPED))
    world.settle()
    web = world.status("web")
    assert (web.state, web.health, web.sync) == (State.STOPPED, Health.STOPPED, Sync.SYNCED)
    assert web.reason == "its manifest says stopped"
    assert world.arrives()
    world.save(service("web"))
    world.settle()
    assert world.state("web") is State.RUNNING


def test_a_manifest_that_stops_a_need_leaves_its_dependents_running() -> None:
    world = World(service("web", "db"), service("db"))
    world.settle()
    web = world.run_of("web")
    world.save(service("web", "db"), service("db", state=STOPPED))
    world.settle()
    assert world.run_of("web") is web
    assert world.reason("web") == "runs without db (its manifest says stopped)"
    assert world.happened("dependency.lost", "web") == [
        "runs without db (its manifest says stopped)"
    ]


def test_a_service_and_its_need_both_change() -> None:
    world = World(service("web", "db"), probed("db", edition=1))
    world.settle()
    old_web, old_db = world.run_of("web"), world.run_of("db")
    world.become(db=Program(ready_after=seconds(3)))
    world.save(service("web", "db", edition=2), probed("db", edition=2))
    world.settle()
    new_web, new_db = world.run_of("web"), world.run_of("db")
    assert old_web.exit is not None
    assert old_db.exit is not None
    assert old_web.exit.at < old_db.exit.at <= new_db.started < new_web.started
    assert new_web.started >= new_db.started + seconds(3)


def test_a_replacement_waits_until_its_needs_are_met_and_the_old_one_runs_on() -> None:
    world = World(service("web", "db"), probed("db"))
    world.settle()
    old = world.run_of("web")
    world.become(db=Program(ready_after=seconds(40)))
    world.end("db")
    world.pass_time(3)
    world.save(service("web", "db", edition=2), probed("db"))
    world.pass_time(10)
    assert world.run_of("web") is old
    assert world.reason("web") == (
        "its manifest changed; runs on as it was, waiting for db to be ready "
        "(starting: connection refused)"
    )
    assert world.status("web").sync is Sync.OUT_OF_SYNC
    world.settle()
    assert world.run_of("web").digest == "web@2"


def test_a_new_need_that_cannot_be_met_leaves_the_old_process_running() -> None:
    world = World(service("web"), service("db", state=STOPPED))
    world.settle()
    old = world.run_of("web")
    world.save(service("web", "db", edition=2), service("db", state=STOPPED))
    world.settle()
    assert world.run_of("web") is old
    assert world.arrives()


def test_a_dependent_that_follows_stops_before_its_need_is_replaced() -> None:
    world = World(service("web", follows("db")), service("db"))
    world.settle()
    old_web, old_db = world.run_of("web"), world.run_of("db")
    world.save(service("web", follows("db")), service("db", edition=2))
    world.settle()
    assert old_web.exit is not None
    assert old_db.exit is not None
    assert old_web.exit.at < old_db.exit.at
    assert world.run_of("web").started > world.run_of("db").started
    assert world.arrives()


def test_a_dependent_that_does_not_follow_keeps_its_process() -> None:
    world = World(service("web", "db"), service("db"))
    world.settle()
    old_web = world.run_of("web")
    world.save(service("web", "db"), service("db", edition=2))
    world.settle()
    assert world.run_of("web") is old_web


def test_following_goes_all_the_way_up() -> None:
    chain = (service("c", follows("b")), service("b", follows("a")))
    world = World(*chain, service("a"))
    world.settle()
    world.save(*chain, service("a", edition=2))
    world.settle()
    assert [len(world.runs(one)) for one in "abc"] == [2, 2, 2]
    starts = [world.run_of(one).started for one in "abc"]
    assert starts == sorted(starts)
    assert world.arrives()


def test_a_change_is_not_held_up_by_a_need_that_can_never_be_replaced() -> None:
    lamed = service("a", state=STOPPED)
    world = World(lamed, service("b"), service("c", "b"))
    world.settle()
    # The change of b waits for a, which is wanted stopped; that of c has all it needs.
    world.save(lamed, service("b", "a", edition=2), service("c", "b", edition=2))
    world.settle()
    assert world.run_of("b").digest == "b@1"
    assert world.run_of("c").digest == "c@2"
    assert world.arrives()


def test_what_waits_for_an_old_process_that_cannot_be_replaced_is_at_rest() -> None:
    lamed = service("a", state=STOPPED)
    world = World(lamed, service("b"))
    world.settle()
    world.save(lamed, oneshot("b", "a", edition=2), service("c", "b"))
    world.settle()
    assert world.run_of("b").digest == "b@1"
    assert world.reason("c").startswith("waiting for b to be ready")
    assert world.arrives()


# --- broken manifests ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["invalid", "broken"])
def test_a_manifest_that_breaks_freezes_its_service_and_no_other(how: str) -> None:
    world = World(service("web"), service("db"))
    world.settle()
    before = world.pids()
    world.save(service("db", edition=2), **{how: ["web"]})
    world.settle()
    web = world.status("web")
    assert (web.sync, web.state, web.health) == (Sync.INVALID, State.RUNNING, Health.HEALTHY)
    assert web.reason == (
        "services.d/web.yaml:3:1: unknown key `prot` (keeps its last good version)"
    )
    assert world.pids()[web.slots[0].slot] == before[web.slots[0].slot]
    assert world.run_of("db").digest == "db@2"
    assert world.arrives()


def test_a_frozen_service_is_restarted_when_it_crashes() -> None:
    world = World(service("web"))
    world.settle()
    world.save(invalid=["web"])
    world.settle()
    world.end("web")
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.run_of("web").digest == "web@1"


def test_a_frozen_service_stays_frozen_after_a_restart_of_the_daemon() -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    world.save(invalid=["web"])
    world.settle()
    world.kill_daemon()
    world.settle()
    assert world.pids() == before
    assert world.status("web").sync is Sync.INVALID


def test_a_manifest_that_is_mended_is_followed_again() -> None:
    world = World(service("web"))
    world.settle()
    world.save(invalid=["web"])
    world.settle()
    world.save(service("web", edition=2))
    world.settle()
    assert world.run_of("web").digest == "web@2"
    assert world.status("web").sync is Sync.SYNCED


def test_g21_what_breaks_in_one_commit_and_is_mended_in_another_moves_at_its_own_pace() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    before = world.pids()
    web, db = sorted(before, key=str, reverse=True)
    world.save(service("db"), invalid=["web"])
    world.settle()
    assert world.pids() == before
    world.save(service("db", edition=2), invalid=["web"])
    world.settle()
    assert world.pids()[web] == before[web]
    assert world.run_of("db").digest == "db@2"
    moved = world.pids()
    world.save(service("web", edition=3), service("db", edition=2))
    world.settle()
    assert world.pids()[db] == moved[db]
    assert world.run_of("web").digest == "web@3"
    assert world.status("web").slots[0].restarts == 0
    assert world.arrives()


def test_g22_a_commit_that_is_reverted_leaves_what_it_had_not_touched() -> None:
    first = (service("web"), service("db"), service("api"))
    world = World(*first)
    world.settle()
    before = world.pids()
    world.save(service("web", edition=2), service("db"))
    world.settle()
    world.save(*first)
    world.settle()
    after = world.pids()
    assert {slot.service for slot in before if before[slot] != after[slot]} == {"web", "api"}
    assert world.run_of("web").digest == "web@1"
    assert world.arrives()


def test_g22_a_service_that_is_renamed_goes_and_another_one_comes() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    kept = world.run_of("db").pid
    world.save(service("shop"), service("db"))
    world.settle()
    assert {slot.service for slot in world.pids()} == {"shop", "db"}
    assert world.run_of("db").pid == kept
    assert world.arrives()


def test_a_service_that_never_had_a_good_manifest_is_shown_and_not_started() -> None:
    world = World()
    world.save(invalid=["web"])
    world.settle()
    web = world.status("web")
    assert (web.sync, web.state, web.desired) == (Sync.INVALID, State.STOPPED, None)
    assert web.reason.endswith("(never had a good version)")
    assert world.runs("web") == []


def test_manifests_that_cannot_be_trusted_keep_everything_as_it_is() -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    world.hold("a rebase is in progress")
    world.step()
    assert world.picture.source_held == "a rebase is in progress"
    world.end("web")
    world.pass_time(5)
    assert world.state("web") is State.RUNNING
    assert world.pids() != before
    world.save(service("web"))
    world.settle()
    assert world.picture.source_held == ""


def test_nothing_is_started_before_the_manifests_and_the_host_were_read() -> None:
    world = World()
    world.pass_time(60)
    assert world.host.runs == {}
    world = World(service("web"))
    world.host.is_lost = True
    world.pass_time(60)
    assert world.host.runs == {}
    assert world.status("web").health is Health.UNKNOWN
    world.host.is_lost = False
    world.settle()
    assert world.state("web") is State.RUNNING


def test_a_cycle_that_a_frozen_manifest_would_close_is_never_acted_on() -> None:
    world = World(service("a", "b"), service("b"))
    world.settle()
    before = world.pids()
    # Alone, the new version of b is fine: the file of a, which still needs b, is broken.
    world.save(service("b", "a", edition=2), broken=["a"])
    world.settle()
    assert world.pids() == before
    b = world.status("b")
    assert b.sync is Sync.INVALID
    assert "services need each other: b -> a -> b" in b.reason
    assert [fault.code for fault in world.picture.diagnostics] == ["W201", "W303"]
    world.save(service("b", "a", edition=2), service("a", edition=2))
    world.settle()
    assert world.run_of("b").digest == "b@2"


# --- restarts that are asked for -------------------------------------------------------------


def test_a_restart_of_one_service_leaves_the_others() -> None:
    world = World(service("web", "db"), service("db"), service("other"))
    world.settle()
    before = world.pids()
    world.ask(OperationKind.RESTART, "db")
    world.settle()
    after = world.pids()
    assert {str(slot) for slot in before if before[slot] != after[slot]} == {"db-0"}
    assert world.status("db").slots[0].restarts == 0
    assert world.memory.services[name("db")].restart_before is None
    assert world.arrives()


def test_a_restart_says_why_it_was_asked_for() -> None:
    world = World(service("web"))
    world.settle()
    world.ask(OperationKind.RESTART, "web", reason="new certificates")
    world.settle()
    assert world.happened("service.stopping") == ["new certificates"]


def test_a_restart_is_finished_by_the_next_daemon() -> None:
    world = World(service("web", instances=2), web=Program(ends_in=seconds(3)))
    world.settle()
    world.ask(OperationKind.RESTART, "web")
    world.pass_time(1)
    world.kill_daemon()
    world.settle()
    assert [len(world.runs("web", index)) for index in (0, 1)] == [2, 2]


def test_a_restart_waits_for_needs_that_are_not_there() -> None:
    world = World(service("web", "db"), service("db"))
    world.settle()
    old = world.run_of("web")
    world.save(service("web", "db"), service("db", state=STOPPED))
    world.settle()
    world.ask(OperationKind.RESTART, "web")
    world.settle()
    assert world.run_of("web") is old
    assert world.reason("web").startswith("a restart was asked for; runs on as it was, waiting")


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (service("web"), service("web", edition=2), "change"),
        (service("web", state=STOPPED), service("web"), "start"),
    ],
)
def test_every_start_says_what_caused_it(
    before: ServiceSpec, after: ServiceSpec, cause: str
) -> None:
    world = World(before)
    world.settle()
    world.save(after)
    world.settle()
    starts = [
        happening.data["cause"]
        for decision in world.decisions
        for happening in decision.happenings
        if happening.kind == "service.starting"
    ]
    assert starts[-1] == cause


def test_g20_a_commit_of_unrelated_files_asks_for_nothing() -> None:
    specs = (service("web", "db"), service("db"))
    world = World(*specs)
    world.settle()
    before = len(world.decisions)
    world.read(manifests(*map(replace, specs), commit="c2"))
    world.step()
    decision = world.decisions[before]
    assert decision.commands == ()
    assert decision.remembered.is_empty
    assert world.picture.revision.commit == "c2"
