"""What rarely meets: two faults in one moment, and what must hold all the same."""

from __future__ import annotations

from itertools import pairwise

from reconciler.core.engine import Engine
from reconciler.model.event import (
    HostLooked,
    HostLost,
    LookAtHost,
    ManifestsRead,
    OperationKind,
    Signal,
    SpawnFailed,
)
from reconciler.model.observed import Exit, Look, Process, ProcessId, Slot, State
from reconciler.model.record import Memory
from reconciler.model.spec import Condition, ServiceSpec
from reconciler.model.units import Digest, RunId, Serial, seconds
from tests.core.building import STOPPED, manifests, name, need, oneshot, probed, service, slot
from tests.sim.host import BOOT, Program
from tests.sim.world import Doom, World

HOUR = 3600
MINUTE = 60
DEAF_TO_ALL = Program(ends_in=None, unkillable=True)


def dead(spec: ServiceSpec, *, lived: float) -> Process:
    """Give a process that ended after some seconds, with nothing left of it."""
    return Process(
        slot=Slot(service=spec.name, index=0),
        id=ProcessId(boot=BOOT, pid=7, born=1),
        run=RunId("run-1"),
        digest=spec.digest,
        started=seconds(1),
        exit=Exit(at=seconds(1 + lived), code=1),
        tree_empty=True,
    )


def test_the_host_may_not_forget_what_only_a_refused_look_has_shown() -> None:
    web = service("web")
    engine = Engine(Memory(boot=BOOT))
    engine.step([ManifestsRead(manifests=manifests(web))], seconds(5))
    engine.step([HostLost(because="the holder has left")], seconds(6))
    look = Look(serial=Serial(1), boot=BOOT, processes=(dead(web, lived=1),))
    too_late = engine.step([HostLooked(look=look)], seconds(6))
    assert not too_late.may_acknowledge
    (again,) = engine.step([], seconds(7)).commands
    seen = engine.step([HostLooked(look=Look(serial=again.serial, boot=BOOT))], seconds(7))
    assert seen.may_acknowledge


def test_nothing_is_started_beside_a_second_process_that_outlives_sigkill() -> None:
    world = World(service("web"), web=DEAF_TO_ALL)
    world.settle()
    world.become(web=Program())
    world.host.start(slot("web"), Digest("by hand"), Program())
    world.memory = Memory(boot=world.memory.boot)
    world.kill_daemon()
    world.pass_time(0.02)
    assert world.holds("web") == ["a second process in its place must end (pid 300)"]
    world.pass_time(MINUTE)
    assert len(world.runs("web")) == 2
    world.calm()
    world.settle()
    assert world.state("web") is State.RUNNING


def test_a_shutdown_waits_a_while_for_a_second_process_to_end() -> None:
    world = World(service("web"))
    world.settle()
    world.host.start(slot("web"), Digest("by hand"), DEAF_TO_ALL)
    world.pass_time(31)
    world.ask(OperationKind.SHUTDOWN)
    world.pass_time(10)
    assert not world.finished
    world.pass_time(10)
    assert world.finished


def test_a_second_process_that_is_left_alone_is_kept() -> None:
    world = World(service("web"))
    world.settle()
    world.host.start(slot("web"), Digest("by hand"), Program())
    world.memory = Memory(boot=world.memory.boot)
    world.forget_manifests()
    world.kill_daemon()
    world.pass_time(1)
    world.host.end(world.runs("web")[1], signal="SIGKILL")
    world.step()
    world.save(service("web"))
    world.pass_time(MINUTE)
    assert [run.is_empty for run in world.runs("web")] == [False, True]
    assert world.state("web") is State.RUNNING


def stopping_beside_a_second_process() -> World:
    """Give a world whose new daemon meets a stop under way, a second process, and no manifests."""
    world = World(service("web"), web=Program(ends_in=None))
    world.settle()
    world.doom = Doom("recorded")
    world.save(service("web", state=STOPPED))
    world.step()
    world.host.start(slot("web"), Digest("by hand"), Program(ends_in=None))
    world.forget_manifests()
    return world


def test_a_second_process_is_one_though_its_slot_was_signalled_as_it_was_seen() -> None:
    world = stopping_beside_a_second_process()
    world.host.loses_next.add("Signal")
    world.pass_time(15)
    (_, by_hand) = world.runs("web")
    assert [stray.run for stray in world.engine.situation(world.now).strays] == [by_hand.id]


def test_a_removed_service_is_known_until_its_second_process_is_gone() -> None:
    world = World(service("web"), service("db"))
    world.settle()
    world.host.start(slot("web"), Digest("by hand"), DEAF_TO_ALL)
    world.pass_time(31)
    world.save(service("db"))
    world.pass_time(1)
    assert world.happened("service.unregistered") == []
    world.calm()
    world.pass_time(MINUTE)
    assert world.happened("service.unregistered") == ["removed from the manifests"]


def test_work_that_ends_as_its_restart_is_asked_for_is_done_once_more() -> None:
    world = World(oneshot("job"))
    world.pass_time(1)
    world.end("job", code=0)
    world.ask(OperationKind.RESTART, "job")
    world.settle()
    assert len(world.runs("job")) == 2


def test_a_start_that_was_cut_off_is_no_long_good_spell() -> None:
    world = World(service("web"))
    world.settle()
    for _ in range(2):
        world.end("web")
        world.step()
        world.until(lambda: world.state("web") is State.RUNNING)
    world.end("web")
    world.host.dies_in_spawn = "before the fork"
    world.until(lambda: world.host.holder is None)
    world.kill_daemon(down_for=HOUR)
    world.until(lambda: world.state("web") is State.CRASHED)
    record = world.engine.situation(world.now).slots[name("web")][0]
    assert record.memory.trouble.failures == 4
    assert record.reason == "exited, code unknown before it was ready"


def test_a_host_that_stays_away_is_looked_for_less_and_less() -> None:
    engine = Engine(Memory(boot=BOOT))
    looks = []
    decision = engine.step([HostLost(because="gone")], seconds(1))
    while decision.wake_at is not None and decision.wake_at < seconds(21):
        now = decision.wake_at
        decision = engine.step([], now)
        if any(isinstance(command, LookAtHost) for command in decision.commands):
            looks.append(now)
            decision = engine.step([HostLost(because="gone")], now)
    pauses = [(after - before) / seconds(1) for before, after in pairwise(looks)]
    assert pauses[:5] == [0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_need_ends_after_its_dependent_that_did_not_come_up_in_time() -> None:
    slow = probed("web", need("db", Condition.STARTED), start_timeout=seconds(3))
    world = World(slow, service("db"), web=Program(ready_after=None))
    world.pass_time(2)
    world.stall(1.5)
    newer = probed("web", need("db", Condition.STARTED), start_timeout=seconds(3), edition=2)
    world.save(newer, service("db", edition=2))
    decision = world.step()
    signals = [one for one in decision.commands if isinstance(one, Signal)]
    assert [str(signal.slot) for signal in signals] == ["web-0"]
    world.pass_time(1)
    assert len(world.runs("db")) == 2


def test_the_end_of_what_was_to_go_is_on_record_though_it_is_wanted_again() -> None:
    world = World(service("web", instances=2))
    world.settle()
    world.doom = Doom("recorded", down_for=1)
    world.save(service("web"))
    world.host.is_lost = True
    world.step()
    assert world.memory.slots[slot("web", 1)].asked == "run-2"
    world.save(service("web", instances=2))
    world.end("web", 1, code=7)
    world.settle()
    ends = [event.data for event in world.store.events() if event.data.get("run") == "run-2"]
    assert [end["code"] for end in ends] == [7]


def test_it_is_told_how_a_process_ended_that_outlived_sigkill_for_long() -> None:
    web = service("web")
    world = World(web, web=DEAF_TO_ALL)
    world.settle()
    world.save(service("web", state=STOPPED))
    world.until(lambda: world.state("web") is State.UNKNOWN)
    world.host.end(world.run_of("web"), signal="SIGKILL")
    world.settle()
    assert world.happened("service.stopped") == ["ended at last; killed by SIGKILL"]


def test_an_end_from_before_the_failures_does_not_begin_them_anew() -> None:
    web = service("web", max_restarts=0)
    looked = Look(serial=Serial(1), boot=BOOT, processes=(dead(web, lived=HOUR),))
    read = ManifestsRead(manifests=manifests(web))
    engine = Engine(Memory(boot=BOOT))
    engine.step([], seconds(5000))
    (start,) = engine.step([HostLooked(look=looked), read], seconds(5001)).commands
    failure = SpawnFailed(
        serial=start.serial, slot=slot("web"), step="exec", errno=2, because="no such file"
    )
    gave_up = engine.step([failure], seconds(5002)).remembered.slots[slot("web")]
    assert gave_up is not None
    kept = Memory(
        boot=BOOT,
        services=engine.situation(seconds(5002)).services,
        slots={slot("web"): gave_up},
    )
    later = Engine(kept)
    later.step([], seconds(5003))
    assert later.step([HostLooked(look=looked), read], seconds(5004)).transitions == ()


def test_a_version_that_comes_back_gives_its_whole_start_timeout() -> None:
    web = probed("web", start_timeout=seconds(20))
    world = World(web, web=Program(ready_after=seconds(5)))
    world.pass_time(1)
    # Held up by a need that is not there, the version between replaces nothing.
    world.save(probed("web", "db", edition=2), service("db", state=STOPPED))
    world.pass_time(1)
    world.save(web, service("db", state=STOPPED))
    world.settle()
    assert world.happened("service.crashed") == []
    assert len(world.runs("web")) == 1
