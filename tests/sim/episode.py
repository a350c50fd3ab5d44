"""One episode: a made-up host lives through what a seed has in store, and comes to rest twice.

Each episode has its own choice of faults (a swarm): some kinds are off, the others come more or
less often. So rare things meet each other, which they never would if everything happened always.
Every other episode has few kinds only, and services without most of what services can have: what
has hooks, schedules and limits seldom gets far enough for what comes after them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heapreplace
from typing import Any

import msgspec

from reconciler.model.desired import ManifestSet
from reconciler.model.event import Spawn
from reconciler.model.observed import Slot, State
from reconciler.model.plan import HoldCode
from reconciler.model.spec import OnRestart, Schedule, ServiceSpec, WatchAction
from reconciler.model.units import ServiceName, WallTime, seconds
from tests.sim.askers import ask_for_a_day
from tests.sim.documents import FEW, FIELDS, LOADED, PROGRAMS, TRAITS, documents, one_of_few
from tests.sim.faults import SPANS
from tests.sim.followers import follow_for_a_day
from tests.sim.kinds import KINDS, MAKERS, Deed
from tests.sim.luck import Luck
from tests.sim.overlays import OVERLAYS, see_the_end
from tests.sim.reloads import behind
from tests.sim.rolls import ROLLS
from tests.sim.socket_rules import at_rest
from tests.sim.timetables import times_between
from tests.sim.world import World
from tests.sim.writers import write_for_a_day

EVENTS = 300
"""Events that change something before the faults of a round stop."""
ROUNDS = 2
DEEDS = 400
"""More deeds than a round needs, unless its world is dead."""
CALM = "calm"
WRITING = "writing"
FOLLOWING = "following"
ASKING = "asking"
ARRIVAL_TAKES = 1200
"""Seconds within which all is as wanted once the faults have stopped."""
SETTLING = 90
QUIET = 600
MOSTLY = 4
"""How much more there is of what an episode is about."""
ROLLING_TRAITS = ("instances", "sockets")
"""What services may have, or be, where an episode is about rollouts."""
ACTIONS_A_SLOT = 8
"""Commands that each slot may take to arrive: a stop, a kill, starts; with room for back-off."""


class BreachError(Exception):
    """A rule was broken; `history` is what was done until then, to a world of this seed."""

    def __init__(self, rule: str, story: str, history: list[Deed], seed: int) -> None:
        super().__init__(f"{story}\n\n{rule}")
        self.rule = rule
        self.history = history
        self.seed = seed


@dataclass(slots=True)
class Toll:
    """What a simulation went through."""

    episodes: int = 0
    events: int = 0
    """Events that changed something."""
    timers: int = 0
    """Times at which something became due by itself."""
    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, other: Toll) -> None:
        """Add what another simulation went through."""
        self.episodes += other.episodes
        self.events += other.events
        self.timers += other.timers
        self.steps += other.steps
        self.faults.update(other.faults)


def play(seed: int, number: int, digest: Any = None) -> Toll:
    """Play one episode of a seed. Raises BreachError where a rule is broken."""
    luck = Luck(f"weaver {seed} {number}")
    world = World(seed=luck.of("world").randrange(1000))
    history: list[Deed] = []
    try:
        for deed in _story(luck, world, _swarm(luck, number)):
            history.append(deed)
            do(world, deed)
    except Exception as why:
        raise BreachError(in_a_line(why), world.told(), history, world.seed) from why
    if digest is not None:
        _sum_up(world, digest)
    return Toll(1, world.events, world.timers, len(world.decisions), Counter(world.faults))


def in_a_line(why: Exception) -> str:
    """Say which rule was broken, or what went wrong instead."""
    return f"{type(why).__name__}: {why}".partition("\n")[0]


def replay(history: Iterable[Deed], seed: int = 0) -> World:
    """Do to a new world what was done to another."""
    world = World(seed=seed)
    for deed in history:
        do(world, deed)
    return world


def do(world: World, deed: Deed) -> None:
    """Do one thing to a world, and see that it takes it."""
    if deed.kind == CALM:
        come_to_rest(world, *deed.args)
    elif deed.kind == WRITING:
        write_for_a_day(*deed.args)
    elif deed.kind == FOLLOWING:
        follow_for_a_day(*deed.args)
    elif deed.kind == ASKING:
        ask_for_a_day(*deed.args)
    else:
        deed(world)


def _story(luck: Luck, world: World, swarm: Swarm) -> Iterator[Deed]:
    """Make up one deed after another."""
    whole, rest = luck.of("save-all"), luck.of(CALM)
    yield Deed(WRITING, (luck.of(WRITING).randrange(100_000),))
    yield Deed(FOLLOWING, (luck.of(FOLLOWING).randrange(100_000),))
    yield Deed(ASKING, (luck.of(ASKING).randrange(100_000),))
    yield Deed("save-all", (whole.randrange(100_000), *swarm.without))
    deeds = swarm.deeds(luck)
    for _ in range(ROUNDS):
        enough = world.events + EVENTS
        for deed, span in itertools.islice(deeds, DEEDS):
            yield deed
            yield Deed("pass", (span,))
            if world.events >= enough:
                break
        yield Deed(CALM, (rest.random() < 0.5, rest.randrange(100_000), *swarm.without))


@dataclass(frozen=True, slots=True)
class Swarm:
    """What there is in one episode, and how often; the rest is off."""

    kinds: Mapping[str, int]
    """How often each kind of deed comes beside the others."""
    without: tuple[tuple[str, ...], ...] = ()
    """In one word the traits that no service has; none where all may have all."""
    programs: Sequence[int] = ()
    """What processes may be like; none: anything."""
    fields: Sequence[str] = ()
    """What may be edited; none: anything."""

    def deeds(self, luck: Luck) -> Iterator[tuple[Deed, float]]:
        """Make up one deed after another, and how long it is left alone.

        Each kind comes in a rhythm of its own, so that one kind more does not move the others.
        """
        rhythms = {kind: luck.of("rhythm", kind) for kind in self.kinds}
        lucks = {kind: luck.of("deed", kind) for kind in self.kinds}
        coming = [(rhythms[kind].expovariate(often), kind) for kind, often in self.kinds.items()]
        heapify(coming)
        while True:
            at, kind = coming[0]
            yield self._deed(kind, lucks[kind]), rhythms[kind].choice(SPANS)
            heapreplace(coming, (at + rhythms[kind].expovariate(self.kinds[kind]), kind))

    def _deed(self, kind: str, luck: Luck) -> Deed:
        """Make up the next deed of a kind."""
        args = KINDS[kind].draw(luck)
        if kind in MAKERS:
            return Deed(kind, (*args, *self.without))
        if kind in ("behave", "change") and self.programs:
            args = (args[0], luck.choice(self.programs))
        if kind == "edit" and self.fields:
            field = luck.choice(self.fields)
            args = (args[0], field, luck.choice(FIELDS[field]))
        is_few = any("many" in traits for traits in self.without)
        return Deed(kind, tuple(map(one_of_few, args)) if is_few else args)


def _swarm(luck: Luck, number: int) -> Swarm:
    """Give what there is in an episode; every other narrow one is about something besides."""
    if number % 2 == 0:
        return wide(luck)
    if number % 8 == 5:
        return for_a_while(luck, narrow(luck))
    return rolling(luck, narrow(luck)) if number % 4 == 3 else narrow(luck)


def rolling(luck: Luck, swarm: Swarm) -> Swarm:
    """Have new versions of services one after the other, whatever else there is."""
    often = {kind: MOSTLY * count for kind, count in _often(ROLLS, luck).items()}
    traits = [tuple(t for t in traits if t not in ROLLING_TRAITS) for traits in swarm.without]
    return replace(swarm, kinds={**swarm.kinds, **often}, without=tuple(traits))


def for_a_while(luck: Luck, swarm: Swarm) -> Swarm:
    """Have much wanted for a while, whatever else there is."""
    often = {kind: MOSTLY * count for kind, count in _often(OVERLAYS, luck).items()}
    return replace(swarm, kinds={**swarm.kinds, **often})


def wide(luck: Luck) -> Swarm:
    """Have about half of all kinds of faults, and services of all kinds."""
    kinds = [kind for kind in _all_kinds() if luck.of("has", kind).random() < 0.5]
    return Swarm(_often(kinds or ["end"], luck))


def narrow(luck: Luck) -> Swarm:
    """Have a few kinds of faults, and plain services, so that these few get deep."""
    kinds = luck.of("kinds").some(_all_kinds(), luck.of("how many").randint(3, 10))
    return Swarm(
        _often(kinds, luck),
        without=(tuple(trait for trait in TRAITS if luck.of("without", trait).random() < 0.7),),
        programs=luck.of("programs").some(range(len(PROGRAMS)), FEW),
        fields=luck.of("fields").some(sorted(FIELDS), FEW),
    )


def _all_kinds() -> list[str]:
    return [kind for kind in sorted(KINDS) if KINDS[kind].weight]


def _often(kinds: Iterable[str], luck: Luck) -> dict[str, int]:
    return {kind: KINDS[kind].weight * luck.of("often", kind).randint(1, 4) for kind in kinds}


def come_to_rest(world: World, is_mended: bool, seed: int, without: Sequence[str] = ()) -> None:
    """Let all faults stop, and see that everything arrives where it is wanted, and stays there.

    Where the manifests are not mended, what is wrong with them goes on; the rest arrives.
    """
    repository = world.repository
    world.up_again_after = world.up_again_after if world.is_ending else None
    world.calm()
    if is_mended:
        repository.is_held = False
        repository.save(documents(Luck(seed), without))
        world.look_at_repository()
        world.pass_time(1)
        world.let_go()
    elif repository.is_held:
        repository.is_held = False
        world.look_at_repository()
    see_the_end(world)
    since = len(world.decisions)
    if is_mended:
        world.settle(within=ARRIVAL_TAKES)
    else:
        world.step()
        world.until(lambda: _is_at_rest(world), within=ARRIVAL_TAKES)
        # It may only have taken a breath.
        world.pass_time(SETTLING)
    if _is_at_work(world):
        world.until(lambda: not _is_at_work(world), within=ARRIVAL_TAKES)
        world.pass_time(SETTLING)
    taken = _actions(world, since)
    may_take = ACTIONS_A_SLOT * (len(world.picture.services) * 2 + 2)
    assert taken <= may_take, f"{taken} actions to arrive"
    since, shown = len(world.decisions), world.rules.timetables.latest
    world.pass_time(QUIET)
    assert _actions(world, since) == 0, f"it does not stay quiet: {world.actions(since)[:1]}"
    if is_mended:
        _is_as_wanted(world)
        _kept_its_schedules(world, since, shown)
        _follows_what_is_loaded(world, seed)


def _follows_what_is_loaded(world: World, seed: int) -> None:
    """See that what runs loads a file that changes, and does no more than that."""
    world.repository.contents[LOADED[0]] = f"at the end of {seed}"
    world.look_at_repository()
    world.pass_time(SETTLING)
    _is_as_wanted(world)
    _follows_its_code(world)


def _follows_its_code(world: World) -> None:
    """See that what is watched restarts when its code changes."""
    found = world.repository.read().definitions
    watched = [
        name
        for name, one in found.items()
        if one.spec.watch is not None
        and one.spec.watch.action is WatchAction.RESTART
        and all(need.service in found for need in one.spec.needs)
        and all(found[need.service].spec.wants_to_run for need in one.spec.needs)
    ]
    since = world.now
    for name in watched:
        world.change_code(name)
    world.pass_time(SETTLING)
    for run in world.host.machine.all_live():
        is_new = run.started >= since or run.slot.service not in watched
        assert is_new, f"{run.slot} runs on with its old code"


def _is_at_rest(world: World) -> bool:
    """Tell whether nothing is under way, though not everything may be as wanted."""
    picture = world.picture
    # The next time of a schedule is nothing to wait for.
    shown_now = [
        one for one in picture.services.values() if one.spec is None or one.spec.schedule is None
    ]
    names = {one.name for one in shown_now}
    is_waiting = any(hold.until is not None and hold.service in names for hold in picture.holds)
    # Behind its preStart hooks a start may wait for a need that is gone for good.
    held = {hold.slot for hold in picture.holds if hold.code is HoldCode.DEPENDENCY_NOT_READY}
    states = {shown.state for one in shown_now for shown in one.slots if shown.slot not in held}
    is_blind = picture.host_unseen or picture.source_held or not world.rules.wanted.is_told
    return not (is_waiting or is_blind or states & {State.STARTING, State.STOPPING})


def _is_at_work(world: World) -> bool:
    """Tell whether work goes on that will come to its end, and to what follows from that."""
    for run in world.host.machine.all_live():
        spec = world.rules.wanted.in_force(run.slot.service)
        is_work = spec is not None and spec.is_oneshot and spec.schedule is None
        is_of_it = is_work and spec is not None and run.digest == spec.digest
        if is_of_it and run.exit is None and not run.is_endless:
            return True
    return False


def _actions(world: World, since: int) -> int:
    return len(world.actions(since))


def _is_as_wanted(world: World) -> None:
    """See that exactly what the manifests say runs, and nothing else."""
    found = world.repository.read()
    for name, definition in found.definitions.items():
        spec = definition.spec
        if _may_run(found, spec):
            assert world.is_as_wanted(spec), f"{name} is not as wanted: {world.status(name)}"
        now = world.rules.wanted.in_force(name)
        if now is not None and now.protect and spec.protect is None:
            # Only who says so lifts a protection.
            spec = replace(spec, protect=True)
        assert now == spec, f"{name}: a change was forgotten"
    known = {*found.definitions, *found.invalid}
    for run in world.host.machine.all_live():
        assert run.slot.service in known, f"{run.slot} is not wanted and runs"
        assert len(world.host.live(run.slot)) <= 1, f"two processes in {run.slot}"
        defined = found.definitions.get(run.slot.service)
        files = []
        if defined is not None and run.id not in world.rules.lost:
            files = behind(world.rules.reloads, world.host.machine, run, defined.spec)
        assert files == [], f"{run.slot} has not loaded {files} as they are"
        assert not run.is_halted, f"{run.slot} was stopped by hand, and stays so"
        nice = defined.spec.nice if defined is not None else None
        assert nice is None or run.nice in (None, nice), f"{run.slot} was reniced, and stays so"
    kept = [world.rules.wanted.in_force(name) for name in found.invalid]
    in_force = [*(one.spec for one in found.definitions.values()), *filter(None, kept)]
    at_rest(world.host, in_force)
    left = [
        run
        for run in world.host.machine.live_errands()
        if not _is_on_schedule(found, run.slot.service)
    ]
    assert left == [], f"the {left[0].role} hook of {left[0].slot} does not end"
    if not world.rules.lost:
        _follow_their_needs(world, [one.spec for one in found.definitions.values()])
        _are_restarted(world)


def _is_on_schedule(found: ManifestSet, name: ServiceName) -> bool:
    """Tell whether a service may be at work at any time."""
    defined = found.definitions.get(name)
    return defined is not None and defined.spec.schedule is not None


def _may_run(found: ManifestSet, spec: ServiceSpec) -> bool:
    """Tell whether all that a service cannot do without is wanted to run, and may run itself."""
    needs = [found.definitions.get(need.service) for need in spec.needs if need.required]
    return all(
        need is not None and need.spec.wants_to_run and _may_run(found, need.spec) for need in needs
    )


def _kept_its_schedules(world: World, since: int, shown: WallTime) -> None:
    """See that what has a schedule ran at all of its times while nothing was in the way.

    `shown` is the latest that the wall clock had shown before: times up to then are over.
    """
    found = world.repository.read()
    for name, definition in found.definitions.items():
        spec = definition.spec
        if spec.schedule is None or not spec.wants_to_run or not _may_run(found, spec):
            continue
        times = _times(spec.schedule, WallTime(0), world.wall_now)
        # What came into force since the clock was set back keeps none of the times before.
        kept = _times(spec.schedule, shown, world.wall_now)
        starts = [
            command
            for decision in world.decisions[since:]
            for command in decision.commands
            if isinstance(command, Spawn)
            and command.errand is None
            and command.slot == Slot(service=name, index=0)
        ]
        # A run that somebody asked for may be in the way of one.
        least = kept - _is_skipped(world, name, since)
        assert least <= len(starts) <= times + 1, (
            f"{name} ran {len(starts)} times, not {kept} to {times}"
        )


def _times(schedule: Schedule, shown: WallTime, wall: WallTime) -> int:
    """Count the times that a schedule had while the host was left alone, until just now."""
    if schedule.every:
        return seconds(QUIET) // schedule.every
    since = max(shown, WallTime(wall - seconds(QUIET)))
    return times_between(schedule.cron, since, WallTime(wall - seconds(1)))


def _is_skipped(world: World, name: ServiceName, since: int) -> bool:
    return any(
        told.kind == "schedule.skipped" and told.service == name
        for decision in world.decisions[since:]
        for told in decision.happenings
    )


def _follow_their_needs(world: World, specs: Iterable[ServiceSpec]) -> None:
    """See that who asked to restart with its needs is younger than each that was replaced."""
    newcomers = {
        told.service
        for decision in world.decisions
        for told in decision.happenings
        if told.kind == "service.unregistered"
    }
    for spec in specs:
        follows = (need for need in spec.needs if need.on_restart is OnRestart.RESTART)
        followed = [need.service for need in follows if need.service not in newcomers]
        for run in world.host.machine.of_service(spec.name):
            if run.is_empty or spec.is_oneshot:
                continue
            for need in followed:
                # Another instance of a need is no restart of it.
                machine = world.host.machine
                slot = Slot(service=need, index=0)
                runs = [one for one in machine.of(slot) if one.identity.boot == machine.boot]
                # What was gone before is no need that it was started beside.
                gone = [one for one in runs if one.exit and one.exit.at >= run.started]
                was_there = any(one.started <= run.started for one in gone)
                newest = max((one.started for one in runs if not one.is_empty), default=run.started)
                is_older = was_there and run.started < newest
                assert not is_older, f"{run.slot} did not restart with {need}"


def _are_restarted(world: World) -> None:
    """See that every restart and reload that was asked for and heard of has come to be."""
    machine = world.host.machine
    for name, asked in world.promises.restarts.items():
        for run in machine.of_service(name):
            assert run.is_empty or run.started >= asked, f"{run.slot} was not restarted"
    for name, asked in world.promises.reloads.items():
        for run in machine.of_service(name):
            is_new = run.is_empty or max(run.started, run.loaded_at) >= asked
            assert is_new, f"{run.slot} was not reloaded"


def _sum_up(world: World, digest: Any) -> None:
    """Add every step of a world to a digest."""
    for _, steps in world.lives:
        for step in steps:
            digest.update(msgspec.msgpack.encode((step.now, step.events, step.decision)))


def new_digest() -> Any:
    """Begin a digest of what happens."""
    return hashlib.blake2b(digest_size=16)
