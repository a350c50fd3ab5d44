"""Every bug that the simulated hosts found, as a short story of its own; see docs/simulation.md.

Each story failed before its mend: a rule was broken that is looked at after every step, or what
the story ends with was not so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.model.event import Exited, LookAtHost, OperationKind, Signal, TreeEmptied
from reconciler.model.observed import Exit, State
from reconciler.model.record import Memory
from reconciler.model.spec import (
    Condition,
    Hook,
    OnRestart,
    ReloadWay,
    RestartPolicy,
    Schedule,
    ServiceSpec,
)
from reconciler.model.units import Digest, Nanos, minutes, seconds
from tests.core.building import STOPPED, need, oneshot, probed, service, slot
from tests.runtime.test_daemon import Scenery, supervise
from tests.sim.host import Program, Run
from tests.sim.world import Doom, World

NEVER_READY = Program(ready_after=None)
DEAF = Program(ends_in=None)
HOUR = 3600
HUP = ReloadWay(signal="SIGHUP")
WHILE_IT_LASTS = need("db", Condition.STARTED, OnRestart.RESTART)
"""To be started beside db, and again whenever db is."""


def lose_record(world: World, *, down_for: float = 0) -> None:
    """Let a new daemon begin with nothing on record, as after `git clean -fdx`."""
    world.memory = Memory(boot=world.memory.boot)
    world.kill_daemon(down_for=down_for)


def flip_flop(before: ServiceSpec, between: ServiceSpec, **programs: Program) -> World:
    """Give a world in which a stop is on record, its daemon dead, and its reason gone."""
    world = World()
    world.become(**programs)
    world.save(before)
    world.pass_time(2)
    world.doom = Doom("recorded")
    world.save(between)
    world.step()
    world.save(before)
    return world


def by_hand(world: World, digest: str, **traits: Any) -> Run:
    """Start a second process beside the one that a slot has."""
    return world.host.start(slot("web"), Digest(digest), Program(**traits))


# --- what is due is done ---------------------------------------------------------------------


def test_a_process_that_is_found_again_is_asked_at_once_whether_it_is_ready() -> None:
    web = probed("web", start_timeout=seconds(20))
    world = World(web)
    world.settle()
    world.forget_manifests()
    lose_record(world)
    world.pass_time(1)
    world.save(web)
    world.pass_time(25)
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 1


def test_the_time_to_end_begins_when_the_signal_arrives() -> None:
    web = service("web", stop_timeout=seconds(1))
    world = World(web, web=Program(ends_in=seconds(0.5)))
    world.settle()
    world.host.busy_until = Nanos(world.now + seconds(3))
    world.save(replace(web, state=STOPPED))
    world.settle()
    assert not world.runs("web")[0].is_killed


def test_a_new_start_timeout_holds_for_the_start_that_is_under_way() -> None:
    web = probed("web", start_timeout=seconds(5))
    world = World(web, web=Program(ready_after=seconds(20)))
    world.pass_time(3)
    world.save(replace(web, start_timeout=seconds(60)))
    world.pass_time(18)
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 1


def test_a_shorter_limit_ends_a_oneshot_that_is_at_work() -> None:
    job = oneshot("job", start_timeout=seconds(HOUR), restart=RestartPolicy.NEVER)
    world = World(job, job=Program(oneshot_takes=None))
    world.pass_time(5)
    world.save(replace(job, start_timeout=seconds(10)))
    world.pass_time(10)
    assert world.pids() == {}


def test_nobody_is_called_unkillable_whom_sigkill_has_not_reached() -> None:
    web = service("web", stop_timeout=seconds(1))
    world = World(web, web=DEAF)
    world.settle()
    world.save(replace(web, state=STOPPED))
    world.pass_time(0.5)
    world.host.drops_next.add("Signal")
    world.settle()
    assert world.happened("service.unknown") == []
    assert world.pids() == {}


def test_a_stop_that_was_begun_comes_to_its_end_whatever_cannot_be_read_meanwhile() -> None:
    world = World(service("web"), service("other"), web=DEAF)
    world.settle()
    world.forget_manifests()
    lose_record(world)
    world.save(service("other"))
    world.pass_time(1)
    world.save(service("other"), broken=["new"])
    world.pass_time(20)
    assert world.runs("web")[0].is_empty


def test_a_restart_is_not_done_by_an_end_that_only_happened_to_come_after_it() -> None:
    web = service("web", restart=RestartPolicy.ON_FAILURE)
    world = World(web, web=Program(lives_for=seconds(3)))
    world.pass_time(2)
    world.lose_holder(seconds_long=5)
    world.ask(OperationKind.RESTART, "web")
    world.pass_time(20)
    assert len(world.runs("web")) == 2


def test_a_look_whose_answer_was_lost_is_taken_again_soon() -> None:
    world = World(service("web"))
    world.settle()
    second = by_hand(world, "another")
    since = len(world.decisions)
    world.host.drops_next.add("LookAtHost")
    world.host.end(second, code=1)
    world.pass_time(15)
    commands = [command for decision in world.decisions[since:] for command in decision.commands]
    assert sum(isinstance(command, LookAtHost) for command in commands) == 2


# --- what an earlier daemon began -------------------------------------------------------------


def test_a_crash_is_a_crash_though_an_earlier_daemon_had_meant_to_stop_it() -> None:
    world = flip_flop(service("web"), service("web", edition=2))
    world.pass_time(5)
    world.end("web", code=1)
    world.pass_time(0.1)
    assert world.happened("service.crashed") == ["exited with 1"]


def test_a_oneshot_that_was_meant_to_be_stopped_does_its_work_once() -> None:
    job = oneshot("job")
    world = flip_flop(job, replace(job, state=STOPPED), job=Program(oneshot_takes=seconds(5)))
    world.settle()
    ends = [run.exit.code for run in world.runs("job") if run.exit is not None]
    assert ends.count(0) == 1


def test_a_child_is_killed_whose_parent_was_asked_to_end_by_an_earlier_daemon() -> None:
    deaf_child = Program(ends_in=seconds(1), leaves_child=True, child_ignores=True)
    web = service("web", stop_timeout=seconds(3))
    world = World(web, web=deaf_child)
    world.settle()
    world.save(replace(web, digest=Digest("web@2")))
    world.pass_time(0.1)
    world.kill_daemon()
    world.save(web)
    world.settle(within=60)
    assert world.runs("web")[0].is_empty


def test_nothing_starts_against_what_an_earlier_daemon_asked_to_end() -> None:
    db, web = service("db"), service("web", "db")
    world = World(db, replace(web, state=STOPPED), db=Program(ends_in=seconds(4)))
    world.settle()
    world.save(replace(db, digest=Digest("db@2")), replace(web, state=STOPPED))
    world.pass_time(0.1)
    world.kill_daemon()
    world.save(db, web)
    world.pass_time(20)
    assert world.runs("web")[0].started > world.runs("db")[1].started


def test_a_restart_is_brought_to_its_end_by_the_next_daemon() -> None:
    web = service("web", restart=RestartPolicy.NEVER)
    world = World(web, web=Program(ends_in=seconds(1)))
    world.settle()
    world.ask(OperationKind.RESTART, "web")
    world.step()
    world.kill_daemon(down_for=3)
    world.settle()
    assert world.state("web") is State.RUNNING


def test_what_outlived_a_shutdown_has_not_crashed_when_it_ends_at_last() -> None:
    world = World(service("web"), web=Program(ends_in=None, unkillable=True))
    world.settle()
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    world.kill_daemon()
    world.pass_time(3)
    world.calm()
    world.settle()
    assert world.happened("service.crashed") == []
    assert world.state("web") is State.RUNNING


# --- two processes in one slot ----------------------------------------------------------------


def test_a_second_process_does_not_keep_a_service_from_its_restart() -> None:
    world = World(service("web"))
    world.settle()
    by_hand(world, "another")
    world.lose_holder(seconds_long=1)
    world.ask(OperationKind.RESTART, "web")
    world.pass_time(10)
    assert [run.is_empty for run in world.runs("web")] == [True, True, False]


def test_of_two_processes_the_one_that_was_known_is_kept() -> None:
    world = World(service("web"))
    world.settle()
    by_hand(world, "web@1")
    world.kill_daemon()
    world.settle()
    assert world.run_of("web") is world.runs("web")[0]


def test_the_end_of_what_somebody_started_is_no_failure_of_the_service() -> None:
    web = oneshot("web")
    world = World(web)
    world.settle()
    by_hand(world, "another", lives_for=seconds(1), code=1)
    world.pass_time(60)
    assert world.happened("service.crashed") == []
    assert world.status("web").reason_code == "Completed"


def test_a_second_process_that_died_unseen_is_no_crash_of_the_one_that_lives() -> None:
    world = World(service("web"))
    world.settle()
    second = by_hand(world, "web@1")
    world.host.end(second, code=1)
    world.kill_daemon()
    world.settle()
    assert world.happened("service.crashed") == []
    assert world.run_of("web") is world.runs("web")[0]


def test_no_service_is_forgotten_while_a_second_process_of_it_lives() -> None:
    world = World(service("web"), service("other"))
    world.settle()
    by_hand(world, "another", ends_in=None, unkillable=True)
    world.pass_time(40)
    world.save(service("other"))
    world.pass_time(5)
    assert "web" in world.states()
    world.calm()
    world.settle()
    assert world.states() == {"other": "running"}


def test_nothing_is_started_into_a_slot_in_which_a_second_process_lives_on() -> None:
    world = World(service("web"))
    world.settle()
    by_hand(world, "another", ends_in=None, unkillable=True)
    world.pass_time(40)
    world.host.end(world.runs("web")[0], code=1)
    world.pass_time(20)
    assert world.host.busy_refusals == 0
    world.calm()
    assert world.arrives()


def test_a_shutdown_is_not_over_before_a_second_process_is_gone() -> None:
    world = World(service("web"))
    world.settle()
    by_hand(world, "another", ends_in=None)
    world.host.drops_next.add("Signal")
    world.pass_time(31)
    world.ask(OperationKind.SHUTDOWN)
    world.until(lambda: world.finished)
    assert world.pids() == {}


# --- ends -------------------------------------------------------------------------------------


def test_the_end_of_a_forgotten_service_is_not_held_against_its_successor() -> None:
    web, other = service("web"), service("other")
    world = World(web, other, web=Program(lives_for=seconds(3), code=1))
    world.pass_time(2)
    world.host.loses_next.add("acknowledge")
    world.pass_time(1.005)
    world.save(other)
    world.pass_time(0.1)
    world.become(web=Program(cannot_run="no such file"))
    world.save(web, other)
    world.pass_time(50)
    assert world.happened("service.crashed", "web").count("exited with 1") == 1


def test_work_that_was_done_while_nobody_knew_of_it_is_not_done_again() -> None:
    job = oneshot("job")
    world = World(job)
    world.pass_time(1)
    world.forget_manifests()
    lose_record(world, down_for=5)
    world.pass_time(60)
    world.save(job)
    world.settle()
    assert len(world.runs("job")) == 1


def test_an_end_is_not_forgotten_that_only_a_look_which_came_too_late_has_shown() -> None:
    world = World(oneshot("job"), job=Program(oneshot_takes=seconds(3)))
    world.pass_time(1)
    world.host.loses_next.add("LookAtHost")
    world.host.delays["LookAtHost"] = seconds(6)
    world.kill_daemon(down_for=5)
    world.pass_time(18)
    world.host.delays.clear()
    world.settle()
    assert len(world.runs("job")) == 1


def test_what_died_while_nobody_looked_is_not_told_to_run() -> None:
    world = World(service("web"))
    world.settle()
    world.end("web", code=1)
    world.kill_daemon()
    world.settle()
    assert world.happened("service.crashed") == ["exited with 1"]
    assert world.happened("service.adopted") == []


def test_an_end_that_is_told_again_does_not_undo_that_all_is_gone() -> None:
    world = World()
    world.host.delays["Spawn"] = seconds(2)
    world.save(service("web"))
    world.become(web=Program(lives_for=seconds(0.5), code=1))
    world.pass_time(1)
    (run,) = world.runs("web")
    assert run.exit is not None
    world.tell(Exited(slot=run.slot, run=run.id, exit=run.exit))
    world.become(web=Program())
    world.host.delays.clear()
    world.pass_time(10)
    commands = [command for decision in world.decisions for command in decision.commands]
    assert not any(isinstance(command, Signal) for command in commands)


def test_a_program_that_ended_well_runs_again_once_it_should_always_run() -> None:
    web = service("web", restart=RestartPolicy.ON_FAILURE)
    world = World(web, web=Program(lives_for=seconds(5)))
    world.pass_time(10)
    world.become(web=Program())
    world.save(replace(web, restart=RestartPolicy.ALWAYS))
    world.settle()
    assert world.state("web") is State.RUNNING


def test_what_ended_well_is_tried_again_once_its_code_counts_as_failure() -> None:
    job = oneshot("job", success_exit_codes=(0, 3))
    world = World(job, job=Program(code=3))
    world.settle()
    world.become(job=Program())
    world.save(replace(job, success_exit_codes=(0,)))
    world.settle()
    assert len(world.runs("job")) == 2


def test_what_served_before_there_was_a_schedule_makes_room_though_no_record_tells_of_it() -> None:
    world = World(service("job"))
    world.settle()
    world.forget_manifests()
    lose_record(world)
    world.pass_time(1)
    world.save(oneshot("job", edition=2, schedule=Schedule(every=minutes(1))))
    world.pass_time(70)
    assert world.happened("schedule.skipped") == []
    assert [run.is_empty for run in world.runs("job")] == [True, True]


# --- time asleep ------------------------------------------------------------------------------


def test_a_sleep_while_the_holder_is_away_puts_off_a_deadline_once() -> None:
    web = service("web", stop_timeout=seconds(10))
    world = World(web, web=DEAF)
    world.settle()
    world.save(replace(web, state=STOPPED))
    world.pass_time(1)
    world.lose_holder(seconds_long=3)
    world.pass_time(1)
    world.sleep(HOUR)
    world.pass_time(30)
    assert world.pids() == {}


def test_a_process_that_is_found_after_a_sleep_has_its_own_time_and_no_more() -> None:
    web = probed("web", start_timeout=seconds(10))
    world = World(web, web=NEVER_READY)
    world.pass_time(1)
    world.host.delays["LookAtHost"] = seconds(0.5)
    world.kill_daemon()
    world.pass_time(0.1)
    world.sleep(HOUR)
    world.stall(0.5)
    world.pass_time(20)
    assert world.runs("web")[0].is_empty


# --- a plan and its judge ---------------------------------------------------------------------


def test_a_start_that_takes_too_long_may_end_in_the_moment_in_which_it_changes() -> None:
    db = probed("db", start_timeout=seconds(5))
    world = World(db, service("web", WHILE_IT_LASTS), db=NEVER_READY)
    world.until(lambda: world.runs("db") != [])
    changed = replace(db, digest=Digest("db@2"))
    late_in = Nanos(world.runs("db")[0].started + seconds(5) - world.now)
    world.host.later(late_in, lambda: world.save(changed, service("web", WHILE_IT_LASTS)))
    world.pass_time(10)
    world.calm()
    assert world.arrives()


def test_a_dependent_whose_start_takes_too_long_ends_before_its_need_does() -> None:
    db, web = service("db"), probed("web", "db", start_timeout=seconds(5))
    world = World(db, web, web=NEVER_READY)
    world.until(lambda: world.runs("web") != [])
    late_in = Nanos(world.runs("web")[0].started + seconds(5) - world.now)
    changed = [replace(spec, digest=Digest("changed")) for spec in (db, web)]
    world.host.later(late_in, lambda: world.save(*changed))
    world.pass_time(10)
    db_before, web_before = world.runs("db")[0], world.runs("web")[0]
    assert web_before.exit is not None
    assert db_before.asked_at is not None
    assert web_before.exit.at <= db_before.asked_at


def test_proof_of_readiness_counts_though_the_next_probe_was_asked_already() -> None:
    world = World(probed("web", start_timeout=seconds(10)))
    world.host.delays["Probe"] = seconds(7)
    world.until(lambda: world.happened("service.starting") != [])
    world.pass_time(7.5)
    assert world.state("web") is State.RUNNING


def test_a_sleep_while_a_start_is_on_its_way_is_no_time_to_get_ready_in() -> None:
    world = World(probed("web", start_timeout=seconds(10)))
    world.host.delays["Spawn"] = seconds(1)
    world.until(lambda: world.runs("web") != [])
    world.sleep(3600)
    world.settle()
    assert len(world.runs("web")) == 1


def test_a_sleep_while_a_stop_is_on_its_way_puts_off_its_end_once() -> None:
    world = World(service("web", stop_timeout=seconds(5)), web=Program(ends_in=None))
    world.settle()
    world.host.delays["Signal"] = seconds(1)
    world.save(service("web", stop_timeout=seconds(5), edition=2))
    world.until(lambda: world.runs("web")[0].asked_at is not None)
    world.sleep(3600)
    world.stall(1)
    world.pass_time(20)
    assert len(world.runs("web")) == 2


def test_work_that_was_done_and_cannot_begin_again_is_tried_again() -> None:
    world = World(oneshot("job"))
    world.settle()
    world.become(job=Program(cannot_run="no such file"))
    world.ask(OperationKind.RESTART, "job")
    world.pass_time(2)
    world.become(job=Program())
    world.settle()
    assert len(world.runs("job")) == 2


def test_a_reload_whose_start_was_lost_is_not_made_up_for_once_its_file_is_as_it_was() -> None:
    way = ReloadWay(command=Hook(command=("reread",)))
    before = replace(service("web", reload=way, reload_on=("conf",)), loads={"conf": "v1"})
    world = World(before)
    world.settle()
    world.host.drops_next.add("Spawn")
    world.save(replace(before, loads={"conf": "v2"}))
    world.pass_time(0.5)
    world.save(before)
    world.pass_time(15)
    assert world.happened("service.reloading") == ["conf changed"]
    assert world.happened("service.reloaded") == []


def test_what_a_restart_of_a_rollout_loaded_is_known_to_the_rollout_that_comes_upon_it() -> None:
    before = service("web", instances=3, reload=HUP, reload_on=("conf",))
    before = replace(before, loads={"conf": "v1"})
    world = World(before)
    world.settle()
    world.ask(OperationKind.RESTART, "web")
    world.pass_time(2.5)
    world.save(replace(before, loads={"conf": "v2"}))
    world.pass_time(4)
    reloads = world.happened("service.reloaded")
    world.save(replace(before, digest=Digest("new"), loads={"conf": "v2"}))
    world.pass_time(60)
    assert world.happened("rollout.completed") == ["3 of 3 are ready"]
    assert world.happened("service.reloaded") == reloads


# --- around the engine ------------------------------------------------------------------------


def test_the_host_may_forget_a_child_that_ended_long_after_its_parent() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        host, gone = scenery.host, scenery.host.processes[slot("web")]
        host.kill(gone.slot, Exit(at=Nanos(0), code=1))
        await scenery.until(lambda: host.unacknowledged == [])
        host.unacknowledged.append(gone.slot)
        scenery.daemon.tell(TreeEmptied(slot=gone.slot, run=gone.run))
        await scenery.until(lambda: host.unacknowledged == [])

    supervise("web", story=story)
