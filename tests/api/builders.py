"""Scenes for the tests of what people see: small, honest, and at a fixed moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from reconciler.core.health import begin, heed
from reconciler.model.desired import Revision
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.health import (
    CheckFault,
    CheckResult,
    CheckType,
    HealthCheck,
    HttpCheck,
    TcpCheck,
    Threshold,
)
from reconciler.model.observed import Exit, Process, ProcessId, Slot, State
from reconciler.model.plan import Wait
from reconciler.model.record import PruneHold, Rollout, RolloutPhase
from reconciler.model.spec import Condition, DesiredState, Need, ServiceSpec
from reconciler.model.status import Health, Picture, ServiceStatus, SlotStatus, Sync
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, milliseconds, seconds
from reconciler.ports import Usage
from reconciler.runtime.checked import Charts, Checked, SlotHealth
from reconciler.runtime.control import DaemonFacts, Scene, SourceFacts
from reconciler.runtime.tallies import Tallies

NOW = seconds(100_000)
WALL = 1_700_000_000.0
HERE = Revision(commit="9be0177c0ffee9be0177c0ffee9be0177c0ffee9b", branch="main")

DAEMON = DaemonFacts(
    pid=900,
    version="0.1.0",
    uptime=12.5,
    holder_pid=901,
    root="/srv/shop",
    state_dir="/srv/shop/.weaver",
    socket="/srv/shop/.weaver/weaver.sock",
    mode="worktree",
)


FOLLOWED = SourceFacts(
    address="/srv/deploy.git",
    branch="main",
    fetched="3f2c91a",
    verified="3f2c91a",
    reason="",
    reason_code="",
    seen_at=None,
)


def name(text: str) -> ServiceName:
    return ServiceName(text)


def process(slot: Slot, *, pid: int, up: float) -> Process:
    return Process(
        slot=slot,
        id=ProcessId(boot="boot", pid=pid, born=pid * 10),
        run=RunId(f"run-{pid}"),
        digest=Digest("d1"),
        started=Nanos(NOW - seconds(up)),
    )


def slot_status(
    service: str,
    index: int = 0,
    *,
    state: State = State.RUNNING,
    up: float | None = 3600,
    pid: int = 4711,
    restarts: int = 0,
    last_exit: Exit | None = None,
    reason: str = "",
) -> SlotStatus:
    slot = Slot(service=name(service), index=index)
    return SlotStatus(
        slot=slot,
        state=state,
        process=None if up is None else process(slot, pid=pid + index, up=up),
        ready=state is State.RUNNING,
        since=Nanos(NOW - seconds(up or 5)),
        restarts=restarts,
        last_restart=Nanos(NOW - seconds(up or 5)) if restarts else None,
        last_exit=last_exit,
        reason=reason,
    )


def service(
    text: str,
    *,
    slots: Iterable[SlotStatus] | None = None,
    state: State = State.RUNNING,
    health: Health = Health.HEALTHY,
    sync: Sync = Sync.SYNCED,
    reason: str = "",
    reason_code: str = "",
    needs: Iterable[str] = (),
    needed_by: Iterable[str] = (),
    waiting_for: Iterable[Wait] = (),
    labels: Mapping[str, str] | None = None,
    desired: DesiredState | None = DesiredState.RUNNING,
    invalid: tuple[Diagnostic, ...] = (),
    line: int = 1,
) -> ServiceStatus:
    wanted = tuple(Need(service=name(n), condition=Condition.READY) for n in needs)
    waits = tuple(waiting_for)
    has = tuple(slots) if slots is not None else (slot_status(text),)
    return ServiceStatus(
        name=name(text),
        spec=ServiceSpec(
            name=name(text),
            digest=Digest("d1"),
            command=("python3", f"{text}.py"),
            instances=max(1, len(has)),
            labels=labels or {},
            needs=wanted,
        ),
        source=Source(file=f"services.d/{text}.yaml", line=line),
        desired=desired,
        state=state,
        sync=sync,
        health=health,
        reason=reason,
        reason_code=reason_code,
        waiting_for=waits,
        waiting_since=Nanos(NOW - seconds(9)) if waits else None,
        needs=tuple(n.service for n in wanted),
        needed_by=tuple(name(n) for n in needed_by),
        slots=has,
        invalid=invalid,
    )


def scene(
    *services: ServiceStatus,
    usage: Mapping[Slot, Usage] | None = None,
    revision: Revision = HERE,
    diagnostics: tuple[Diagnostic, ...] = (),
    prune: PruneHold | None = None,
    source_held: str = "",
    troubles: tuple[str, ...] = (),
) -> Scene:
    return Scene(
        picture=Picture(
            now=NOW,
            revision=revision,
            services={s.name: s for s in services},
            diagnostics=diagnostics,
            prune=prune,
            source_held=source_held,
        ),
        usage=usage or {},
        daemon=replace(DAEMON, troubles=troubles),
        wall=WALL,
    )


def usage(cpu: float = 0.4, rss: int = 27 << 20, listening: tuple[str, ...] = ()) -> Usage:
    return Usage(cpu_percent=cpu, rss=rss, pss=rss, swap=0, file_descriptors=8, listening=listening)


def shop() -> Scene:
    """Give a small shop: a oneshot, a database, an API, two workers, and trouble with mail."""
    prepare = service(
        "prepare",
        state=State.STOPPED,
        reason="completed (0) 1 h ago",
        reason_code="Completed",
        needed_by=["db"],
        slots=[
            slot_status(
                "prepare",
                state=State.STOPPED,
                up=None,
                last_exit=Exit(at=Nanos(NOW - seconds(3600)), code=0),
            )
        ],
    )
    db = service("db", needs=["prepare"], needed_by=["api"])
    api = service("api", needs=["db"], needed_by=["worker"], labels={"tier": "web"})
    worker = service(
        "worker", needs=["api"], slots=[slot_status("worker", 0), slot_status("worker", 1, up=75)]
    )
    mailer = service(
        "mailer",
        state=State.CRASHED,
        health=Health.DEGRADED,
        sync=Sync.SYNCED,
        reason="exited with 1, 3 times in a row; starts again in 4 s",
        reason_code="BackingOff",
        slots=[
            slot_status(
                "mailer",
                state=State.CRASHED,
                up=None,
                restarts=3,
                last_exit=Exit(at=Nanos(NOW - seconds(4)), code=1),
                reason="exited with 1, 3 times in a row; starts again in 4 s",
            )
        ],
    )
    importer = service(
        "importer",
        state=State.STARTING,
        health=Health.PROGRESSING,
        sync=Sync.OUT_OF_SYNC,
        reason="needs mailer to be ready",
        reason_code="DependencyNotReady",
        needs=["mailer"],
        waiting_for=[Wait(service=name("mailer"), condition=Condition.READY)],
        slots=[slot_status("importer", state=State.STOPPED, up=None)],
    )
    return scene(
        prepare,
        db,
        api,
        worker,
        mailer,
        importer,
        usage={
            Slot(service=name("db"), index=0): usage(1.2, 64 << 20, ("127.0.0.1:5432",)),
            Slot(service=name("api"), index=0): usage(12, 80 << 20, ("0.0.0.0:8080",)),
            Slot(service=name("worker"), index=0): usage(0.4),
            Slot(service=name("worker"), index=1): usage(0.6),
        },
    )


def rolling_shop() -> Scene:
    """Give a shop with a rollout under way, one whose version failed, and one without any."""
    slots = [slot_status("api", 0, up=4), slot_status("api", 1)]
    api = with_rollout(
        service(
            "api",
            health=Health.PROGRESSING,
            sync=Sync.OUT_OF_SYNC,
            reason="rollout 1/2",
            reason_code="RollingOut",
            slots=slots,
        ),
        rolled=(0, 1),
        proven=(0,),
        surge=1,
    )
    why = "web-2: exited with 3"
    web = with_rollout(
        service(
            "web",
            sync=Sync.OUT_OF_SYNC,
            reason=f"rollout failed at 0/2: {why}; mend the manifest, or weaver rollout resume web",
            reason_code="Quarantined",
            slots=[slot_status("web", 0), slot_status("web", 1)],
        ),
        phase=RolloutPhase.PAUSED,
        failed=True,
        because=why,
    )
    kept = (Digest("0da4d52000"), Digest("1a897c8900"))
    return scene(api, replace(web, quarantined=kept), service("db"))


def with_rollout(status: ServiceStatus, **more: Any) -> ServiceStatus:
    """Give a service of two instances with a rollout."""
    assert status.spec is not None
    base = replace(status.spec, instances=2)
    to = replace(base, digest=Digest("1a897c8900"))
    begun = Nanos(NOW - seconds(5))
    rollout = Rollout(**{"to": to, "base": base, "since": Nanos(0), "began": begun, **more})
    return replace(status, spec=to, rollout=rollout)


def checked_shop() -> Scene:
    """Give a shop whose database is fine, whose API does not answer, and whose worker is new."""
    http = HealthCheck(
        type=CheckType.HTTP,
        http=HttpCheck(url="http://127.0.0.1:8080/health"),
        retries=1,
        threshold=Threshold(failure_rate=50),
    )
    tcp = HealthCheck(type=CheckType.TCP, tcp=TcpCheck(port=5432))
    api = with_check(
        service(
            "api",
            state=State.DEGRADED,
            health=Health.DEGRADED,
            slots=[slot_status("api", 0, state=State.DEGRADED), slot_status("api", 1)],
        ),
        http,
    )
    worker = with_check(
        service(
            "worker",
            slots=[
                slot_status("worker", 0, up=1),
                slot_status("worker", 1, state=State.STOPPED, up=None),
            ],
        ),
        tcp,
    )
    stage = scene(with_check(service("db"), tcp), api, worker, service("mailer"))
    charts = [
        chart(api.slots[0], http, "........FF.FFFF"),
        chart(api.slots[1], http, "..........F"),
        chart(stage.picture.services[name("db")].slots[0], tcp, "." * 20),
        chart(worker.slots[0], tcp, ""),
    ]
    tallies = Tallies()
    for one in charts:
        for checked in reversed(one.history):
            tallies.begun(checked.late)
        if one.last is not None:
            tallies.made(one.last)
    return replace(stage, charts=Charts(slots={one.slot: one for one in charts}, tallies=tallies))


def with_check(status: ServiceStatus, health: HealthCheck) -> ServiceStatus:
    assert status.spec is not None
    return replace(status, spec=replace(status.spec, health=health))


def chart(status: SlotStatus, health: HealthCheck, row: str) -> SlotHealth:
    """Give the health of a slot after a row of checks: a dot has passed, an F failed."""
    assert status.process is not None
    run = status.process.run
    due = Nanos(NOW + seconds(4))
    said = "status 200" if health.http else "it accepts connections"
    state, shown = begin(run, status.process.started), []
    for place, letter in enumerate(row):
        ok = letter == "."
        result = CheckResult(
            slot=status.slot,
            run=run,
            type=health.type,
            ok=ok,
            at=Nanos(NOW - seconds(10 * (len(row) - place) - 6)),
            took=milliseconds(2.34) if ok else seconds(3),
            detail=said if ok else "no answer within 3 s",
            fault=None if ok else CheckFault.TIMEOUT,
            tries=1 if ok else 1 + health.retries,
            facts={"status": 200} if ok and health.http else {},
        )
        state = heed(state, result, health)
        shown.append(
            Checked(
                at=result.at,
                took=result.took,
                late=Nanos(250_000),
                ok=ok,
                verdict=state.verdict,
                detail=result.detail,
                fault=result.fault,
            )
        )
    return SlotHealth(
        slot=status.slot,
        run=run,
        health=health,
        due=due,
        verdict=state.verdict,
        failures=state.failures,
        successes=state.successes,
        last=state.last,
        history=tuple(reversed(shown)),
    )
