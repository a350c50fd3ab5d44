"""What an engine does with processes it did not start, and with what it missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.event import HostLost, LookAtHost, OperationKind, Spawned
from reconciler.model.observed import State
from reconciler.model.record import Memory
from reconciler.model.spec import RestartPolicy
from reconciler.model.status import Health
from reconciler.model.units import Digest, Nanos, Serial, milliseconds, minutes, seconds
from tests.core.building import STOPPED, oneshot, probed, service, slot
from tests.sim.host import BOOT, Program
from tests.sim.world import World


def test_a_new_daemon_adopts_what_runs_and_starts_nothing() -> None:
    world = World(service("web", "db"), probed("db"), service("worker", instances=3))
    world.settle()
    before = world.pids()
    world.kill_daemon(down_for=60)
    world.step()
    world.step()
    assert world.states() == {"db": "running", "web": "running", "worker": "running"}
    assert world.arrives()
    assert world.pids() == before


def test_a_process_that_once_was_ready_need_not_prove_it_again() -> None:
    world = World(probed("db"))
    world.settle()
    world.host.runs[world.run_of("db").id].program = Program(ready_after=None)
    world.kill_daemon()
    world.settle(within=5)
    assert world.state("db") is State.RUNNING


def test_a_process_that_was_not_ready_yet_has_to_prove_it() -> None:
    world = World(probed("db", start_timeout=seconds(20)), db=Program(ready_after=seconds(30)))
    world.pass_time(15)
    world.kill_daemon()
    world.step()
    world.step()
    assert world.state("db") is State.STARTING
    world.settle()
    assert len(world.runs("db")) == 1


def test_an_old_process_without_a_probe_is_ready_as_soon_as_it_is_found() -> None:
    world = World(service("web"))
    world.pass_time(0.5)
    world.kill_daemon(down_for=3)
    world.step()
    world.step()
    assert world.state("web") is State.RUNNING


def test_a_crash_that_nobody_heard_of_is_found_with_its_code() -> None:
    world = World(service("web"))
    world.settle()
    world.host.later(seconds(5), lambda: world.end("web", code=7))
    world.kill_daemon(down_for=30)
    world.settle()
    shown = world.status("web").slots[0]
    assert (str(shown.last_exit), shown.restarts) == ("exited with 7", 1)
    assert world.happened("service.crashed") == ["exited with 7"]


def test_a_oneshot_that_was_done_meanwhile_is_done() -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=seconds(20)))
    world.pass_time(5)
    world.kill_daemon(down_for=60)
    world.settle()
    assert world.reason("prepare") == "completed (0)"
    assert len(world.runs("prepare")) == 1


def test_a_start_that_was_under_way_when_the_daemon_died_is_adopted() -> None:
    world = World(service("web"))
    world.host.delays["Spawn"] = seconds(1)
    world.pass_time(0.5)
    assert len(world.pids()) == 1
    world.kill_daemon()
    world.settle()
    assert len(world.runs("web")) == 1
    assert world.arrives()


def test_a_crash_restart_that_was_under_way_when_the_daemon_died_is_no_second_start() -> None:
    world = World(service("web"))
    world.settle()
    world.end("web")
    world.host.loses_next.add("Spawn")
    world.pass_time(1.5)
    world.kill_daemon()
    world.settle()
    assert len(world.runs("web")) == 2
    assert world.host.busy_refusals == 0


def test_a_restart_is_not_begun_before_the_old_process_is_gone() -> None:
    world = World(service("web"), web=Program(ends_in=seconds(5)))
    world.settle()
    world.save(service("web", edition=2))
    world.pass_time(1)
    world.kill_daemon()
    world.settle()
    assert world.run_of("web").digest == "web@2"
    assert world.host.busy_refusals == 0


@pytest.mark.parametrize("policy", list(RestartPolicy))
@pytest.mark.parametrize("down_for", [0, 3])
def test_a_restart_that_the_daemon_did_not_live_to_see_is_brought_to_its_end(
    policy: RestartPolicy, down_for: float
) -> None:
    world = World(service("web", restart=policy), web=Program(ends_in=seconds(1)))
    world.settle()
    world.ask(OperationKind.RESTART, "web")
    world.step()
    world.kill_daemon(down_for=down_for)
    world.settle()
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 2
    assert world.happened("service.crashed") == []
    assert world.arrives()


def test_a_process_of_a_service_that_is_not_known_is_stopped() -> None:
    world = World(service("web"))
    world.settle()
    stranger = world.host.start(slot("ghost"), Digest("ghost@1"), Program())
    world.settle()
    world.pass_time(40)
    assert stranger.is_empty
    assert stranger.asked_at is not None
    assert list(world.states()) == ["web"]
    assert world.arrives()


@pytest.mark.parametrize("how", ["invalid", "broken"])
def test_a_process_that_may_be_wanted_by_a_broken_manifest_is_left_alone(how: str) -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    world.memory = Memory(boot=BOOT)  # the record was lost
    world.save(**{how: ["web"]})
    world.kill_daemon()
    world.settle()
    world.pass_time(40)
    assert world.pids() == before
    world.save(service("web"))
    world.settle()
    assert world.pids() == before
    assert world.state("web") is State.RUNNING


def test_without_its_record_a_daemon_takes_over_what_runs() -> None:
    specs = (service("web", "db"), probed("db"), service("worker", instances=2))
    world = World(*specs)
    world.settle()
    before = world.pids()
    world.memory = Memory(boot=BOOT)
    world.kill_daemon()
    world.settle()
    assert world.pids() == before
    assert world.states() == {"db": "running", "web": "running", "worker": "running"}


def test_a_look_before_the_manifests_are_read_does_not_lose_what_they_define() -> None:
    world = World(probed("web"))
    world.settle()
    before = world.pids()
    world.memory = Memory(boot=BOOT)
    world.forget_manifests()
    world.kill_daemon()
    world.pass_time(3)
    world.save(probed("web"))
    world.settle()
    assert world.pids() == before
    assert world.state("web") is State.RUNNING
    assert world.status("web").slots[0].ready


def test_a_second_process_in_a_slot_is_killed_and_the_first_stays() -> None:
    world = World(service("web"))
    world.settle()
    first = world.run_of("web")
    second = world.host.start(slot("web"), Digest("web@1"), Program())
    world.pass_time(40)
    assert first.exit is None
    assert second.exit is not None
    assert second.exit.signal == "SIGKILL"
    assert world.arrives()


def test_of_two_that_a_new_daemon_finds_the_older_one_goes() -> None:
    world = World(service("web"))
    world.settle()
    first = world.run_of("web")
    world.now = Nanos(world.now + seconds(1))
    second = world.host.start(slot("web"), Digest("web@1"), Program())
    world.memory = Memory(boot=BOOT)
    world.kill_daemon()
    world.settle()
    assert first.is_empty
    assert world.run_of("web") is second


# --- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("life", [Program(), Program(lives_for=seconds(3), code=1)])
def test_a_start_whose_answer_is_lost_is_found_by_looking(life: Program) -> None:
    world = World(service("web"), web=life)
    world.host.loses_next.add("Spawn")
    world.become(web=life)
    world.pass_time(2)
    world.become(web=Program())
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.host.busy_refusals == 0


def test_a_start_that_never_arrived_is_made_again() -> None:
    world = World(service("web"))
    world.host.drops_next.add("Spawn")
    world.settle()
    assert world.state("web") is State.RUNNING
    assert len(world.runs("web")) == 1
    assert world.happened("service.crashed") == [
        "the start was not answered, and nothing was found of it"
    ]


def test_a_oneshot_whose_start_was_not_answered_but_whose_end_was_told_is_done() -> None:
    world = World(oneshot("prepare"), prepare=Program(lives_for=milliseconds(5)))
    world.host.loses_next.add("Spawn")
    world.settle()
    assert world.reason("prepare") == "completed (0)"
    assert len(world.runs("prepare")) == 1


def test_an_end_that_is_heard_before_the_start_is_answered_is_counted() -> None:
    world = World(service("web"), web=Program(lives_for=Nanos(0), code=4))
    world.pass_time(0.5)
    assert str(world.status("web").slots[0].last_exit) == "exited with 4"
    assert world.status("web").state is State.CRASHED


def test_an_answer_that_comes_twice_does_nothing_the_second_time() -> None:
    work = Program(lives_for=seconds(1))
    world = World(service("web"), probed("db"), oneshot("prepare"), prepare=work)
    world.host.doubles_next.update(["Spawn", "Probe", "LookAtHost", "Signal"])
    world.settle()
    world.host.doubles_next.update(["Spawn", "Signal"])
    world.save(service("web", edition=2), probed("db"), oneshot("prepare"))
    world.settle()
    assert [len(world.runs(one)) for one in ("web", "db")] == [2, 1]
    assert world.host.busy_refusals == 0


def test_a_late_answer_to_an_old_start_is_ignored() -> None:
    world = World(service("web"))
    world.settle()
    first = world.run_of("web")
    world.end("web", code=1)
    world.settle()
    second = world.run_of("web")
    world.tell(Spawned(serial=Serial(2), process=replace(first.shown(), exit=None)))
    world.settle()
    assert world.run_of("web") is second
    assert world.status("web").slots[0].process == second.shown()


# --- the holder is out of reach --------------------------------------------------------------


def test_nothing_is_done_while_the_holder_is_out_of_reach() -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    world.lose_holder(seconds_long=30)
    world.save(service("web", edition=2))
    world.pass_time(20)
    assert world.pids() == before
    assert world.picture.host_unseen == "the holder has left"
    assert world.status("web").health is Health.UNKNOWN
    assert world.state("web") is State.UNKNOWN
    world.settle()
    assert world.run_of("web").digest == "web@2"


def test_a_short_loss_is_hardly_noticed() -> None:
    world = World(service("web"))
    world.settle()
    before = world.pids()
    world.lose_holder(seconds_long=2)
    world.settle()
    assert world.pids() == before
    assert world.happened("service.unknown") == []


def test_what_ended_out_of_sight_is_judged_when_it_is_seen_again() -> None:
    work = Program(lives_for=seconds(20))
    world = World(oneshot("prepare"), service("web"), prepare=work)
    world.pass_time(5)
    world.lose_holder(seconds_long=40)
    world.pass_time(10)
    world.end("web", code=9)
    world.settle()
    assert world.reason("prepare") == "completed (0)"
    assert len(world.runs("prepare")) == 1
    shown = world.status("web").slots[0]
    assert (str(shown.last_exit), shown.restarts) == ("exited with 9", 1)


def test_a_stop_goes_on_where_it_was_when_the_holder_is_back() -> None:
    world = World(service("web", stop_timeout=minutes(2)), web=Program(ends_in=seconds(30)))
    world.settle()
    run = world.run_of("web")
    world.save(service("web", stop_timeout=minutes(2), state=STOPPED))
    world.pass_time(1)
    world.lose_holder(seconds_long=10)
    world.pass_time(15)
    assert world.state("web") is State.STOPPING
    world.settle()
    assert run.exit is not None
    assert run.exit.signal == "SIGTERM"
    assert world.state("web") is State.STOPPED


def test_a_start_is_not_taken_as_failed_while_nobody_could_ask_whether_it_is_ready() -> None:
    world = World(probed("web", start_timeout=seconds(10)), web=Program(ready_after=seconds(8)))
    world.pass_time(2)
    world.lose_holder(seconds_long=30)
    world.settle()
    assert len(world.runs("web")) == 1


def test_a_start_asked_for_just_as_the_holder_left_is_no_failure() -> None:
    world = World(service("web"))
    world.step()
    world.host.is_lost = True
    world.step()
    world.tell(HostLost(because="the holder has left"))
    world.pass_time(3)
    world.host.is_lost = False
    world.settle()
    assert world.state("web") is State.RUNNING
    assert world.happened("service.crashed") == []


def test_a_look_from_before_a_loss_is_not_believed() -> None:
    world = World(service("web"))
    world.settle()
    world.host.delays["LookAtHost"] = seconds(3)
    world.pass_time(30)
    world.lose_holder(seconds_long=60)
    world.pass_time(4)
    assert world.picture.host_unseen == "the holder has left"


def test_after_a_reboot_everything_starts_afresh_and_nothing_is_called_a_crash() -> None:
    world = World(service("web"), probed("db"))
    world.settle()
    world.reboot()
    world.settle()
    assert world.states() == {"db": "running", "web": "running"}
    assert world.happened("service.crashed") == []
    assert world.status("web").slots[0].restarts == 0


def test_a_busy_slot_is_looked_at_and_what_is_there_adopted() -> None:
    world = World(service("web"))
    world.step()
    stray = world.host.start(slot("web"), Digest("web@1"), Program())
    world.rules.is_lenient = True
    world.settle()
    assert world.host.busy_refusals == 1
    assert world.runs("web") == [stray]
    assert world.happened("service.crashed") == []


def test_a_slot_that_stays_busy_is_tried_again_every_second_and_is_no_failure() -> None:
    world = World(service("web"))
    world.step()
    world.host.is_haunted = True
    world.pass_time(5)
    assert 4 <= world.host.busy_refusals <= 6
    assert world.reason("web") == "its former run is still there; waiting before the next start"
    world.host.is_haunted = False
    world.settle()
    assert world.status("web").slots[0].restarts == 0
    assert world.happened("service.crashed") == []


def test_an_end_is_not_acknowledged_before_it_is_on_record() -> None:
    world = World(service("web"), web=Program(lives_for=Nanos(0), code=4))
    world.host.delays["Spawn"] = milliseconds(50)
    world.until(lambda: bool(world.runs("web")))
    world.step()
    assert not world.decisions[-1].may_acknowledge
    world.kill_daemon()
    world.pass_time(0.5)
    assert str(world.status("web").slots[0].last_exit) == "exited with 4"
    assert world.decisions[-1].may_acknowledge


def test_a_look_that_began_before_a_service_was_forgotten_does_not_bring_it_back() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    world.host.delays["LookAtHost"] = seconds(3)
    world.until(lambda: any(isinstance(one, LookAtHost) for one in world.decisions[-1].commands))
    world.save(service("db"))
    world.pass_time(5)
    assert list(world.states()) == ["db"]
    assert world.happened("service.adopted") == []


def test_until_manifests_are_read_what_was_in_force_is_shown_and_runs_on() -> None:
    world = World(service("web", "db"), service("db"))
    world.settle()
    before = world.pids()
    world.forget_manifests()
    world.kill_daemon()
    world.hold("a rebase is in progress")
    world.pass_time(60)
    assert world.pids() == before
    assert world.states() == {"db": "running", "web": "running"}
    assert world.status("web").desired == "running"
    assert world.picture.source_held == "a rebase is in progress"
    assert not world.picture.converged
