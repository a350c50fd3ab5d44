"""Everything that can happen to a host in one step, each thing by its name.

A deed says what is done, not what it leads to: on another history the same deed does the same, or
nothing at all. What went wrong is counted in `World.faults` when it really did.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.event import OperationKind
from reconciler.model.units import seconds
from tests.sim import documents as made_up
from tests.sim.check_faults import VERDICTS, get_well, judge_late, judge_the_dead, sicken
from tests.sim.drawing import Kind, a_name, choose, count, named, nothing, which
from tests.sim.holder_faults import (
    COMMANDS,
    POINTS,
    change_weather,
    delay,
    double_next,
    draw_weather,
    drop_next,
    kill_holder,
    kill_holder_at,
    kill_holder_in_spawn,
    lose_holder,
    lose_next,
    renew_holder,
    see_ends,
    slow_holder,
)
from tests.sim.host_faults import (
    FAILING_STEPS,
    REFUSALS,
    doom_daemon,
    draw_doom,
    fail_signal,
    fail_step,
    fill_disk,
    free_disk,
    kill_both,
    kill_daemon,
    pass_time,
    reboot,
    refuse,
    run_short,
    set_wall,
    shorten_memory,
    sleep,
    stall,
)
from tests.sim.process_faults import (
    SAYINGS,
    behave,
    change,
    end,
    fall_silent,
    go_on,
    halt,
    measure,
    renice,
    say,
    start_by_hand,
    starve,
)
from tests.sim.world import World

SPANS = (0.0, 0.001, 0.05, 0.5, 3.0, 15.0)
LONG_SPANS = (59.9, 70.0, 130.0, 310.0)
"""Over the times of schedules."""
JUMPS = (60.0, 3600.0, 30_000.0)


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
