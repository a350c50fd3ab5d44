"""Put a daemon together from its parts."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from reconciler.adapters.checks import Checks as HostChecker
from reconciler.adapters.checks import Names, Network, Probes
from reconciler.adapters.clock import HostClock
from reconciler.adapters.codewatch import CodeWatch
from reconciler.adapters.free_port import is_free
from reconciler.adapters.git.remote.signatures import fault_of
from reconciler.adapters.host_hooks import HookPrograms
from reconciler.adapters.logs.awaited import AwaitedLines
from reconciler.adapters.logs.files import LogFiles
from reconciler.adapters.native import NativeHost
from reconciler.adapters.native.condition import conditions
from reconciler.adapters.proc import PortOwner, intruder, owner_of_address, owner_of_port
from reconciler.adapters.reader import FileReader
from reconciler.adapters.sqlite.store import SqliteStore
from reconciler.adapters.timetable import WallTimetable
from reconciler.adapters.usage.sampler import TreeSampler
from reconciler.adapters.usage.scale import TreeScale
from reconciler.api.metrics import Exposition
from reconciler.api.metrics_own import CountingDecider, Counts
from reconciler.app import DETACHED
from reconciler.app.preparation import Preparation
from reconciler.app.source import Source, open_source
from reconciler.core.diff import Language
from reconciler.core.engine import Engine
from reconciler.core.trust import Verify
from reconciler.manifest.config import effective
from reconciler.manifest.fields import describe, effect_of
from reconciler.model.event import Event, Happening, Probe, Signal, Spawn
from reconciler.model.observed import Slot
from reconciler.model.plan import Situation
from reconciler.model.units import RunId, ServiceName
from reconciler.runtime import detach
from reconciler.runtime.allotting import Allotting
from reconciler.runtime.checking import Checking
from reconciler.runtime.checks import Checks
from reconciler.runtime.checkup import Vitals, examine
from reconciler.runtime.code import follower
from reconciler.runtime.control import Setting
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.host_hooks import Gate, HostHooks
from reconciler.runtime.host_hooks import Surroundings as HookSurroundings
from reconciler.runtime.inquest import Inquest
from reconciler.runtime.landing import Tools
from reconciler.runtime.live import LiveControl, Parts
from reconciler.runtime.logbook import Logbook
from reconciler.runtime.measuring import Measuring
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.patrol import Patrol
from reconciler.runtime.pushing import Hands as PushHands
from reconciler.runtime.pushing import Pushing
from reconciler.runtime.restraint import Restraint
from reconciler.runtime.reverting import Reverting
from reconciler.runtime.settings import Settings
from reconciler.runtime.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """A daemon, and the parts of it that somebody must run or close."""

    daemon: Daemon
    control: LiveControl
    host: NativeHost
    store: SqliteStore
    source: Source
    reader: FileReader
    code: CodeWatch
    logbook: Logbook
    clock: HostClock
    troubles: list[Callable[[], str]]
    """What else may be wrong; each gives a sentence, or nothing."""
    listening: list[str]
    """Where the metrics are on TCP."""
    exposition: Exposition
    counts: Counts
    measuring: Measuring
    checking: Checking
    checker: HostChecker
    patrol: Patrol
    allotting: Allotting
    reverting: Reverting
    pushing: Pushing | None
    hooks: HostHooks
    gate: Gate

    async def close(self, *, in_order: bool) -> None:
        """Let go of everything, in order; what is on its way is finished.

        One that does not leave `in_order` says no goodbye: the holder starts the next daemon.
        """
        if in_order:
            stop_holder, returns = self.daemon.has_finished, self.daemon.returns
            await self.host.close(stop_holder=stop_holder, returns=returns)
        else:
            self.host.abandon()
        await self.gate.close()
        await self.checker.close()
        if self.source.outbox is not None:
            self.source.outbox.close()
        await self.source.repository.close()
        await self.reader.close()
        await self.store.close()


async def assemble(paths: StatePaths, options: UpOptions) -> Assembly:
    """Put a daemon together; nothing is started yet, and only the record is read."""
    clock = HostClock()
    store = SqliteStore(paths.database, clock)
    prepare = Preparation(paths)
    comeback = detach.comeback(DETACHED, options, paths)

    async def listener_at(address: str) -> str:
        owner = await asyncio.to_thread(owner_of_address, address, but=_us(host))
        return "" if owner is None else inquest.named(str(owner), RunId(owner.run))

    host = NativeHost(paths.root, paths.state, prepare, comeback, listener_at)
    reader = FileReader(str(paths.root), paths.cache)
    # Three processes may have to begin (tables, worker, holder): none waits for another.
    memory, *_ = await asyncio.gather(store.load(clock.boot()), reader.warm(), host.warm())

    async def note(happening: Happening) -> None:
        await daemon.note(happening)

    source = await open_source(paths, options, reader, note)
    watch, settings = source.watch, source.settings
    logs = LogFiles(paths.logs, paths.daemon_log, clock)
    logbook, awaited = Logbook(logs, paths), AwaitedLines(logs)
    inquest = Inquest(lambda port: _owner(port, _us(host)), logbook.last_words)
    code, counts = CodeWatch(paths.root, clock.now), Counts()
    listening: list[str] = []
    network = Network(Names(), lambda: (f"unix:{paths.socket}", *listening))

    async def stranger(slot: Slot, run: RunId, port: int) -> str:
        _, record = daemon.slot(slot)
        process = record.process if record else None
        if process is None or process.run != run:
            return ""
        found = await asyncio.to_thread(intruder, port, process, but=_us(host))
        return "" if found is None else _in_its_place(found, port)

    async def output(probe: Probe) -> str:
        files = logbook.sources(probe.spec, probe.slot)
        pattern = probe.readiness.pattern
        return await asyncio.to_thread(awaited.find, probe.run, files, pattern)

    async def allowed(command: Spawn | Signal) -> Event | None:
        return await gate.may(command)

    follow = follower(code, logbook.files, str(paths.state))

    def after_reading(situation: Situation) -> None:
        follow(situation)
        allotting.look()
        reverting.look()

    daemon = Daemon(
        CountingDecider(Engine(memory, seed=secrets.randbits(63)), counts),
        World(
            clock=clock,
            host=host,
            prober=Probes(prepare.place, stranger, output, network),
            store=store,
            manifests=source.manifests,
            timetable=WallTimetable(clock),
            may=allowed,
            before_start=logbook.mark_start,
            after_reading=after_reading,
            close_doors=host.close_doors,
            through=inquest.through,
            is_holding=lambda: inquest.is_holding,
        ),
    )
    inquest.lookup, inquest.tenant = daemon.slot, daemon.tenant
    programs = HookPrograms(paths.root, prepare.base_env, paths.hooks)
    around = HookSurroundings(
        runner=programs,
        settings=lambda: settings.now.hooks,
        wall=clock.wall,
        note=daemon.note,
        revision=lambda: daemon.source.last.revision.commit if daemon.source.last else "",
    )
    gate, hooks = Gate(around, lambda: daemon.is_ending), HostHooks(around)
    checker = HostChecker(prepare.place, clock.now, network)
    checks = Checks(checker, clock, daemon.tell)
    checking = Checking(checks, clock)
    troubles: list[Callable[[], str]] = [
        lambda: code.problem,
        lambda: checking.problem,
        hooks.trouble,
    ]

    pushing = _pushing(daemon, source)

    async def tail(name: ServiceName) -> tuple[str, ...]:
        return await logbook.tail(name, daemon)

    def vitals() -> Vitals:
        return Vitals(
            picture=daemon.picture(),
            holder_pid=host.holder_pid,
            holder_trouble=host.trouble or daemon.host_problem,
            watch_trouble=watch.problem,
            unwatched=code.absent(),
            record_trouble=daemon.journal.trouble,
            record=store.facts(),
            other_troubles=tuple(said for told in troubles if (said := told())),
            ways=host.ways,
            push=pushing.facts() if pushing else None,
            is_unsigned=bool(source.following)
            and settings.now.verify.is_required
            and not settings.now.sign,
            keys_fault=_keys_fault(source, settings),
            hooks={kind: programs.fault(hook) for kind, hook in settings.now.hooks.items()},
            files_allowed=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        )

    parts = Parts(
        paths=paths,
        clock=clock,
        store=store,
        logbook=logbook,
        sampler=TreeSampler(clock),
        tools=Tools(
            repository=source.repository,
            drafts=source.drafts,
            language=Language(describe=describe, effect_of=effect_of),
            tail=tail,
            auto_commit=lambda: settings.now.auto_commit,
            pending=store,
        ),
        prepare=prepare,
        holder_pid=lambda: host.holder_pid,
        renew_holder=host.renew,
        settings=lambda: _settings(settings),
        troubles=lambda: [
            watch.problem,
            host.trouble,
            pushing.trouble if pushing else "",
            *(told() for told in troubles),
        ],
        examine=lambda: list(examine(vitals())),
        metrics_listen=lambda: ", ".join(listening),
        ways=lambda: host.ways,
        charts=checks.charts,
        following=source.following,
        pushing=pushing,
    )
    control = LiveControl(daemon, parts)
    allotting, reverting = _unasked(daemon, control, source, clock)
    troubles += [
        lambda: allotting.problem,
        lambda: reverting.problem,
        source.trouble,
        lambda: control.resuming.problem,
    ]
    return Assembly(
        daemon=daemon,
        control=control,
        exposition=Exposition(control, counts),
        counts=counts,
        hooks=hooks,
        gate=gate,
        checking=checking,
        checker=checker,
        allotting=allotting,
        reverting=reverting,
        pushing=pushing,
        patrol=Patrol(daemon.situation, conditions, daemon.tell),
        measuring=Measuring(daemon.situation, lambda: host.ways, TreeScale(clock), daemon.tell),
        host=host,
        store=store,
        source=source,
        reader=reader,
        code=code,
        logbook=logbook,
        clock=clock,
        troubles=troubles,
        listening=listening,
    )


def _unasked(
    daemon: Daemon, control: LiveControl, source: Source, clock: HostClock
) -> tuple[Allotting, Reverting]:
    """Put those together that commit what nobody asked for."""
    repository, drafts = source.repository, source.drafts
    restraint = Restraint(repository, clock.wall)

    def port_of(name: ServiceName) -> int:
        memory = daemon.situation().services.get(name)
        return (memory.spec.port or 0) if memory is not None else 0

    return (
        Allotting(lambda: daemon.source.last, control.change, is_free, restraint, port_of),
        Reverting(daemon, daemon.journal.listen, repository, drafts, control.change, restraint),
    )


def _pushing(daemon: Daemon, source: Source) -> Pushing | None:
    """Give what pushes a checkout; None where a branch elsewhere is followed."""
    if source.outbox is None:
        return None
    hands = PushHands(listen=daemon.journal.listen, note=daemon.note, luck=random.random)
    return Pushing(source.outbox, source.settings, hands)


def _us(host: NativeHost) -> tuple[int | None, ...]:
    """Give those who have the sockets of services open, and serve nobody there."""
    return (os.getpid(), host.holder_pid)


def _owner(port: int, us: Collection[int | None]) -> tuple[str, str] | None:
    owner = owner_of_port(port, but=us)
    return None if owner is None else (str(owner), owner.run)


def _in_its_place(found: PortOwner, port: int) -> str:
    """Say who answers on a port instead of a process."""
    return f"port {port} is held by {found.program} (pid {found.pid}), which is not this service"


def _keys_fault(source: Source, settings: Settings) -> str:
    if source.following is None or settings.now.verify is Verify.OFF:
        return ""
    return fault_of(source.following.keys(settings.now))


def _settings(settings: Settings) -> Sequence[Setting]:
    return [
        Setting(path=value.path, value=value.value, is_default=value.is_default)
        for value in effective(settings.now)
    ]
