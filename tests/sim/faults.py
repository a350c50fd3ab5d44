"""Everything that can happen to a host in one step, each thing by its name.

A deed says what is done, not what it leads to: on another history the same deed does the same, or
nothing at all. What went wrong is counted in `World.faults` when it really did.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from reconciler.model.event import HealthTold, Measured, OperationKind
from reconciler.model.health import Verdict
from reconciler.model.observed import Role
from reconciler.model.units import Digest, Nanos, ServiceName, seconds
from tests.core.building import slot
from tests.sim import documents as made_up
from tests.sim.drawing import Kind, a_name, choose, count, named, nothing, which
from tests.sim.host import Weather
from tests.sim.machine import Run
from tests.sim.world import Doom, World

SPANS = (0.0, 0.001, 0.05, 0.5, 3.0, 15.0)
LONG_SPANS = (59.9, 70.0, 130.0, 310.0)
"""Over the times of schedules."""
MUCH = 64
"""More than the least that services may use, in MiB."""
JUMPS = (60.0, 3600.0, 30_000.0)


# --- time ------------------------------------------------------------------------------------


def pass_time(world: World, span: float) -> None:
    world.pass_time(span)


def stall(world: World, span: float) -> None:
    world.stall(span)
    count(world, "daemon stalled")


def sleep(world: World, span: float) -> None:
    world.sleep(span)
    count(world, "host slept")


def set_wall(world: World, by: float) -> None:
    world.wall += by
    count(world, "wall clock stepped")


# --- processes -------------------------------------------------------------------------------


def behave(world: World, name: str, program: int) -> None:
    """Let the next processes of a service be like one of the programs there are."""
    world.become(**{name: made_up.PROGRAMS[program]})
    count(world, "program replaced", program)


def _pick(world: World, which: int) -> Run | None:
    """Give one of the processes that run, never the bystander's."""
    runs = [
        run
        for run in world.host.machine.all_live()
        if run.exit is None and run.slot.service != made_up.BYSTANDER
    ]
    return runs[which % len(runs)] if runs else None


def end(world: World, which: int, code: int | None) -> None:
    run = _pick(world, which)
    if run is not None:
        world.host.end(run, code=code, signal="SIGKILL" if code is None else None)
        count(world, "process ended" if code == 0 else "process crashed")


def starve(world: World, which: int) -> None:
    """Let the kernel kill a process for want of memory."""
    run = _pick(world, which)
    if run is not None and run.role is Role.MAIN:
        world.host.starve(run)
        count(world, "killed for its memory")


def measure(world: World, which: int, size: int) -> None:
    """Let a process be measured, and tell what it used only after it may have been replaced."""
    run = _pick(world, which)
    if run is not None and run.role is Role.MAIN:
        news = Measured(slot=run.slot, run=run.id, memory=size << 20)
        world.tell(news)
        world.tell_later(seconds(2), news)
        count(world, "memory grown", size >= MUCH)


def shorten_memory(world: World, size: int | None) -> None:
    """Let the host have so much memory left for what is started."""
    world.host.machine.available = None if size is None else size << 20
    count(world, "memory short", size is not None)


def change(world: World, which: int, program: int) -> None:
    """Let a process that runs behave otherwise from now on: deaf, unkillable, slow to end."""
    run = _pick(world, which)
    if run is not None:
        run.program = made_up.PROGRAMS[program]
        count(world, "process changed its ways", program)


SAYINGS = (
    "READY=1",
    "RELOADING=1",
    "STOPPING=1",
    "STATUS=busy",
    "WATCHDOG=trigger",
    "EXTEND_TIMEOUT_USEC=30000000",
    "WATCHDOG=1",
)


def say(world: World, which: int, words: str) -> None:
    """Let a process say something of itself."""
    run = _pick(world, which)
    if run is not None and run.speaks:
        world.host.machine.say(run, words)
        count(world, f"said {words.partition('=')[0]}")


def halt(world: World, which: int) -> None:
    """Let somebody stop a process by SIGSTOP."""
    run = _pick(world, which)
    if run is not None and run.role is Role.MAIN:
        run.is_halted = True
        world.patrol()
        count(world, "stopped by hand")


def renice(world: World, which: int, nice: int) -> None:
    """Let somebody renice a process, be its manifest's nice another one or not."""
    run = _pick(world, which)
    if run is not None and run.role is Role.MAIN:
        run.nice = nice
        world.patrol()
        count(world, "reniced by hand")


def go_on(world: World, which: int) -> None:
    """Let somebody undo by hand what was done by hand."""
    run = _pick(world, which)
    if run is not None and run.role is Role.MAIN:
        count(world, "put right by hand", run.is_halted or run.nice is not None)
        run.is_halted, run.nice = False, None


def fall_silent(world: World, which: int) -> None:
    """Let a process go on, and say no more that it is well."""
    run = _pick(world, which)
    if run is not None and run.watchdog:
        run.is_silent = True
        count(world, "watchdog not fed")


def sicken(world: World, which: int, is_slot: bool) -> None:
    """Let a process fail its checks from now on, or every process of its slot."""
    run = _pick(world, which)
    if run is None or run.role is not Role.MAIN:
        return
    if is_slot:
        world.host.machine.sick.add(run.slot)
    run.is_sick = True
    spec = world.rules.wanted.in_force(run.slot.service)
    count(world, "check began to fail", spec is not None and spec.health is not None)


def get_well(world: World, which: int) -> None:
    """Let what fails its checks pass them again: one process, or all that run."""
    run = _pick(world, which)
    if which % 2 or run is None:
        world.host.machine.recover()
        return
    run.is_sick = False
    world.host.machine.sick.discard(run.slot)


def judge_late(world: World, which: int, verdict: str, late: float) -> None:
    """Let a verdict about what runs now be told only after it may have been replaced."""
    run = _pick(world, which)
    # Only what a daemon has found does it check.
    if run is None or run.role is not Role.MAIN or world.picture.host_unseen:
        return
    told = HealthTold(slot=run.slot, run=run.id, verdict=Verdict(verdict), reason="it was slow")
    world.tell_later(seconds(late), told)
    count(world, "check was slow")


def judge_the_dead(world: World, which: int, verdict: str) -> None:
    """Tell a verdict about a process that a slot had before."""
    live = _pick(world, which)
    runs = world.host.machine.of(live.slot) if live is not None else []
    if live is not None and live.role is Role.MAIN and len(runs) > 1:
        old = runs[which % (len(runs) - 1)]
        world.tell(HealthTold(slot=old.slot, run=old.id, verdict=Verdict(verdict), reason="old"))
        count(world, "check of an older run")


VERDICTS = ("degraded", "degraded", "healthy", "failing", "unknown")


def run_short(world: World, span: float) -> None:
    """Let the host have no process to give for a while."""
    machine = world.host.machine
    machine.is_short = True
    count(world, "host short of processes")

    def mend() -> None:
        machine.is_short = False

    world.host.later(seconds(span), mend)


REFUSALS = ("", "", "it is not a good time", "ask somebody else")


def refuse(world: World, why: str) -> None:
    """Let the hooks of the host refuse starts and stops, with a reason, or no more."""
    world.host.machine.refuses = why
    count(world, "host refused", why)


FAILING_STEPS = ("user", "group", "cgroup", "limits")
"""Steps of a start between the fork and the exec: who it is to be, and where it is to live."""


def fail_step(world: World, name: str, step: str) -> None:
    """Let starts of a service fail: its user is unknown, its control group vanished; or no more."""
    world.host.machine.failing[ServiceName(name)] = step
    count(world, f"start fails at {step}", step)


def fail_signal(world: World, times: int) -> None:
    """Let the next signals not be delivered: the control group of their target has vanished."""
    world.host.machine.undelivered = times
    count(world, "signal not delivered")


def start_by_hand(world: World, name: str) -> None:
    """Start a process in a slot by hand, beside what Weaver started there."""
    taken = slot(name)
    if world.host.holder is not None and len(world.host.live(taken)) == 1:
        world.host.start(taken, Digest("by hand"), made_up.GOOD)
        count(world, "started by hand")


# --- holder and messages ---------------------------------------------------------------------


def lose_holder(world: World, span: float) -> None:
    world.lose_holder(seconds_long=span)
    count(world, "connection cut")


def kill_holder(world: World, down_for: float) -> None:
    if world.host.holder is not None:
        world.kill_holder(down_for=down_for)
        count(world, "holder killed")


def renew_holder(world: World) -> None:
    """Let the holder replace its program in place."""
    count(world, "holder replaced", world.host.renew_holder())


def see_ends(world: World, tells: bool) -> None:
    """Let the daemon hold on to processes itself, on a kernel that tells their codes or not."""
    world.host.sees_ends, world.host.machine.tells = True, tells


def kill_holder_in_spawn(world: World, point: str) -> None:
    world.host.dies_in_spawn = point

    def mend() -> None:
        world.host.begin_holder()

    world.host.later(seconds(4), mend)


POINTS = (
    "identity.recorded",
    "signal.before",
    "signal.after",
    "event.before",
    "event.told",
    "ack.before",
    "ack.taken",
)
"""Failpoints of the holder, but for those of a start, which have a deed of their own."""


def kill_holder_at(world: World, point: str) -> None:
    """Let the holder be killed when it comes to a point, and be there again after a while."""
    world.host.dies_at = point


def slow_holder(world: World, span: float) -> None:
    until = Nanos(world.now + seconds(span))
    # What waits for the holder is done in its order: nothing that comes later is done sooner.
    world.host.busy_until = max(world.host.busy_until, until)


def change_weather(
    world: World, salt: int, never: float, twice: float, late: float, held: float
) -> None:
    world.host.weather = Weather(salt=salt, never=never, twice=twice, late=late, held=held)


def draw_weather(luck: Random) -> tuple[Any, ...]:
    rates = [luck.choice((0.0, 0.0, 0.05, 0.2)) for _ in range(4)]
    return (luck.randrange(1000), *rates)


def lose_next(world: World, kind: str) -> None:
    world.host.loses_next.add(kind)


def double_next(world: World, kind: str) -> None:
    world.host.doubles_next.add(kind)


def drop_next(world: World, kind: str) -> None:
    """Let the next command of a kind never arrive."""
    world.host.drops_next.add(kind)


def delay(world: World, kind: str, span: float) -> None:
    """Let every answer to commands of a kind take so long from now on."""
    world.host.delays[kind] = seconds(span)
    count(world, "answers slow", span)


COMMANDS = choose("Spawn", "Signal", "LookAtHost", "Probe", "acknowledge", "PutRight")


# --- daemon and host -------------------------------------------------------------------------


def kill_daemon(world: World, down_for: float) -> None:
    world.kill_daemon(down_for=down_for)
    count(world, "daemon killed")


def doom_daemon(world: World, point: str, acts: int, down_for: float) -> None:
    world.doom = Doom(point, acts, down_for)


def draw_doom(luck: Random) -> tuple[Any, ...]:
    point = luck.choice(("decided", "recorded", "acting"))
    return (point, luck.randrange(3), luck.choice((0.0, 0.5, 10.0)))


def kill_both(world: World, down_for: float) -> None:
    world.host.kill_holder()
    world.kill_daemon(down_for=down_for)
    count(world, "daemon and holder killed")


def reboot(world: World) -> None:
    world.reboot()
    count(world, "host rebooted")


def fill_disk(world: World) -> None:
    world.store.fill()


def free_disk(world: World) -> None:
    world.store.free()


# --- people ----------------------------------------------------------------------------------


def ask(world: World, kind: str, name: str) -> None:
    world.ask(OperationKind(kind), name)


def approve(world: World) -> None:
    """Agree to the removal that is held, if there is one."""
    prune = world.picture.prune
    if prune is not None and not prune.approved:
        world.ask(OperationKind.APPROVE_PRUNE, prune_id=prune.id)


def agree_late(world: World, span: float) -> None:
    """Agree to the removal that is held now, when it may be another one that is held by then."""
    prune = world.picture.prune
    if prune is not None and not prune.approved:
        asked = prune.id

        def agree() -> None:
            count(world, "yes came late")
            world.ask(OperationKind.APPROVE_PRUNE, prune_id=asked)

        world.host.later(seconds(span), agree)


def shut_down(world: World, kind: str, again: float) -> None:
    world.up_again_after = again
    world.ask(OperationKind(kind))
    count(world, "shut down")


SLOW = ("Spawn", "Signal", "LookAtHost", "PutRight")
_ANY_PROGRAM = tuple(range(len(made_up.PROGRAMS)))

FAULTS: Mapping[str, Kind] = {
    "pass": Kind(choose(*SPANS), pass_time, 0),
    "stall": Kind(choose(0.01, 1.0, 12.0), stall),
    "sleep": Kind(choose(*JUMPS), sleep),
    "wall": Kind(choose(-86_400.0, -3600.0, -240.0, 240.0, 3600.0, 3e8), set_wall),
    "pass-times": Kind(choose(*LONG_SPANS), pass_time, 2),
    "stay-away": Kind(choose(*LONG_SPANS), kill_daemon),
    "behave": Kind(lambda luck: (a_name(luck), luck.choice(_ANY_PROGRAM)), behave, 4),
    "end": Kind(which(None, None, 0, 1), end, 6),
    "change": Kind(which(*_ANY_PROGRAM), change, 2),
    "starve": Kind(lambda luck: (luck.randrange(100),), starve),
    "measure": Kind(which(1, 60, 65, 400, 600), measure, 3),
    "shorten-memory": Kind(choose(0, 100, None), shorten_memory),
    "say": Kind(which(*SAYINGS), say, 3),
    "fall-silent": Kind(lambda luck: (luck.randrange(100),), fall_silent, 2),
    "halt": Kind(lambda luck: (luck.randrange(100),), halt, 2),
    "renice": Kind(which(0, 5, 19), renice, 2),
    "go-on": Kind(lambda luck: (luck.randrange(100),), go_on),
    "by-hand": Kind(named, start_by_hand),
    "refuse": Kind(choose(*REFUSALS), refuse, 2),
    "fail-step": Kind(lambda luck: (a_name(luck), luck.choice(("", *FAILING_STEPS))), fail_step),
    "fail-signal": Kind(choose(1, 2, 5), fail_signal),
    "sicken": Kind(which(True, False), sicken, 4),
    "get-well": Kind(lambda luck: (luck.randrange(100),), get_well, 3),
    "judge-late": Kind(
        lambda luck: (luck.randrange(100), luck.choice(VERDICTS), luck.choice((0.0, 2.0, 9.0))),
        judge_late,
        2,
    ),
    "judge-the-dead": Kind(which("degraded", "healthy"), judge_the_dead),
    "run-short": Kind(choose(0.5, 20.0), run_short),
    "lose-holder": Kind(choose(0.1, 3.0, 20.0), lose_holder, 2),
    "kill-holder": Kind(choose(0.0, 0.1, 3.0, 20.0), kill_holder, 2),
    "renew-holder": Kind(nothing, renew_holder),
    "see-ends": Kind(choose(True, True, False), see_ends, 2),
    "kill-holder-in-spawn": Kind(choose("before the fork", "after it"), kill_holder_in_spawn),
    "kill-holder-at": Kind(choose(*POINTS), kill_holder_at, 2),
    "slow-holder": Kind(choose(0.05, 2.0, 12.0), slow_holder),
    "weather": Kind(draw_weather, change_weather, 2),
    "lose-next": Kind(COMMANDS, lose_next, 2),
    "double-next": Kind(COMMANDS, double_next),
    "drop-next": Kind(choose(*SLOW), drop_next),
    "delay": Kind(
        lambda luck: (luck.choice(SLOW), luck.choice((0.0, 0.3, 2.0, 4.0))),
        delay,
    ),
    "kill-daemon": Kind(choose(0.0, 0.5, 10.0), kill_daemon, 2),
    "doom-daemon": Kind(draw_doom, doom_daemon, 3),
    "kill-both": Kind(choose(0.0, 2.0, 15.0), kill_both),
    "reboot": Kind(nothing, reboot),
    "fill-disk": Kind(nothing, fill_disk),
    "free-disk": Kind(nothing, free_disk, 2),
    "ask": Kind(lambda luck: (luck.choice(("restart", "start", "reload")), a_name(luck)), ask, 3),
    "approve": Kind(nothing, approve, 2),
    "agree-late": Kind(choose(0.5, 3.0, 15.0), agree_late),
    "shut-down": Kind(
        lambda luck: (luck.choice(("shutdown", "kill")), luck.choice((0.0, 5.0))), shut_down
    ),
}
"""Every deed of one step but those in the repository."""
