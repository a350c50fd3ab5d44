"""Bugs that do nothing, or too much: what is wanted never comes, or never comes to rest."""

from __future__ import annotations

from tests.sim.planting import Mutant

ARRIVAL = (
    Mutant(
        name="crashed-counts-as-coming",
        module="reconciler/core/quiet.py",
        before="_COMING_OR_UP = (State.STARTING, State.RUNNING)",
        after="_COMING_OR_UP = (State.STARTING, State.RUNNING, State.CRASHED)",
        story="A service crashes at night and is not restarted until somebody else's manifest"
        " changes.",
    ),
    Mutant(
        name="a-change-that-waits-is-forgotten",
        module="reconciler/core/quiet.py",
        before="if process.digest != spec.digest or process.exit is not None"
        " or record.pending is not None:",
        after="if process.exit is not None or record.pending is not None:",
        story="The commit is applied, the status is green, and the old version goes on running.",
    ),
    Mutant(
        name="a-live-change-is-forgotten",
        module="reconciler/core/quiet.py",
        before="if spec is not memory.spec and spec != memory.spec:",
        after="if spec is not memory.spec and spec.digest != memory.spec.digest:",
        story="A longer stopTimeout is committed and reported as applied; the database is killed"
        " by the old one.",
    ),
    Mutant(
        name="one-instance-too-many-stays",
        module="reconciler/core/planner.py",
        before="for index, one in records if index >= wish.instances),",
        after="for index, one in records if index > wish.instances),",
        story="From four workers to three: the fourth goes on, with the code of last month.",
    ),
    Mutant(
        name="waits-for-dependents-that-stay",
        module="reconciler/core/upkeep.py",
        before="(before.add if dependent in ending else todo.append)(dependent)",
        after="before.add(dependent)",
        story="A service is to be stopped that another one needs which stays. It waits for the"
        " other to end, which is for ever.",
    ),
    Mutant(
        name="waits-for-what-never-ran",
        module="reconciler/core/upkeep.py",
        before="if any(record.state is State.STOPPING for record in records):",
        after="if all(record.state is State.STOPPING for record in records):",
        story="A service is to be stopped; another one that needs it has never run. Where there is"
        " no process, all of them count as stopping, and the stop waits for them for ever.",
    ),
    Mutant(
        name="what-is-left-of-a-crash-stays",
        module="reconciler/core/upkeep.py",
        before="    if record.process.exit is not None:\n        return Stop(",
        after="    if record.process.exit is not None and record.state is State.STOPPED:\n"
        "        return Stop(",
        story="A server dies and leaves a worker behind, which holds the slot. It is neither ended"
        " nor replaced.",
    ),
    Mutant(
        name="swept-run-comes-back-to-life",
        module="reconciler/core/looking.py",
        before="if record.memory.exited == run:",
        after="if record.memory.ended == run:",
        story="A server crashed and left a worker behind that ignores SIGTERM. A new daemon takes"
        " the dead server for one that stops, without a limit, and never kills what is left.",
    ),
    Mutant(
        name="seen-again-and-still-unknown",
        module="reconciler/core/passing.py",
        before="lost = replace(record, lost_in=record.state)",
        after="lost = record",
        story="The holder was away for ten seconds. Everything runs, is shown as unknown, and is"
        " never touched again: not by a deployment, not by a stop.",
    ),
    Mutant(
        name="crashed-slots-adopt-nobody",
        module="reconciler/core/lifecycle.py",
        before="{(state, Signal.FOUND_STARTING): State.STARTING for state in _EMPTY}",
        after="{(state, Signal.FOUND_STARTING): State.STARTING for state in _EMPTY[:1]}",
        story="The daemon dies while it restarts a crashed service. The next one finds the process"
        " and never asks whether it is ready, so nothing behind it starts.",
    ),
    Mutant(
        name="refused-start-hangs",
        module="reconciler/core/lifecycle.py",
        before="(State.STARTING, Signal.REFUSED): State.STOPPED,",
        after="(State.STARTING, Signal.REFUSED): State.STARTING,",
        story="The host says once that a slot is not free yet. The slot is shown as starting from"
        " then on, and nothing is started in it.",
    ),
    Mutant(
        name="unkillable-for-ever",
        module="reconciler/core/lifecycle.py",
        before="(State.UNKNOWN, Signal.TREE_EMPTY): State.STOPPED,",
        after="(State.UNKNOWN, Signal.TREE_EMPTY): State.UNKNOWN,",
        story="A process hangs in a dead network file system and cannot be killed. The file system"
        " comes back, the process ends, and its slot stays unknown.",
    ),
    Mutant(
        name="a-frozen-service-is-not-kept-up",
        module="reconciler/core/settle.py",
        before="        services[name] = _frozen(owned.get(name), faults)",
        after="        services[name] = _frozen(None, faults)",
        story="Somebody commits a typing error, and that night the service crashes. It has no good"
        " version any more, so it stays down.",
    ),
)

WAKING = (
    Mutant(
        name="a-lost-look-is-waited-for",
        module="reconciler/core/looking.py",
        before="if waited is not None and waited.overdue_at <= ledger.now:",
        after="if waited is not None and waited.overdue_at < ledger.now:",
        story="The answer to one look gets lost. The daemon wakes when it is overdue, finds that it"
        " is not overdue by more, and never wakes again.",
    ),
    Mutant(
        name="nobody-wakes-for-a-retry",
        module="reconciler/core/passing.py",
        before="if record.process is None and record.memory.trouble.retry_at is not None:",
        after="if record.process is not None and record.memory.trouble.retry_at is not None:",
        story="A service crashes and is to be back in a second. It is back when something else"
        " happens to wake the daemon.",
    ),
    Mutant(
        name="nobody-wakes-for-a-probe",
        module="reconciler/core/recall.py",
        before="or record.next_probe is not None",
        after="or record.probing is not None",
        story="Services without a readiness check are starting for ever, and what needs them waits"
        " as long.",
    ),
)

GIVING_UP = (
    Mutant(
        name="a-host-that-is-short-fails-its-services",
        module="reconciler/core/answers.py",
        before="if event.errno in SCARCE:",
        after="if event.errno < 0:",
        story="For a minute the host has no process to give, since somebody's build went wild."
        " Everything that was to start just then is given up for good.",
    ),
    Mutant(
        name="gives-up-one-early",
        module="reconciler/core/backoff.py",
        before="if spec.max_restarts is not None and failures > spec.max_restarts:",
        after="if spec.max_restarts is not None and failures >= spec.max_restarts:",
        story="`maxRestarts: 1` means no restart at all, and a service stays down that the one"
        " restart would have mended.",
    ),
    Mutant(
        name="a-busy-slot-counts-as-a-failure",
        module="reconciler/core/answers.py",
        before="    if event.is_busy:\n",
        after="    if event.is_busy and record.process is not None:\n",
        story="The holder restarts, and refuses starts for a moment. Services with few restarts"
        " allowed are given up though none of them ever failed.",
    ),
)

REST = (
    Mutant(
        name="asks-once-whether-it-is-ready",
        module="reconciler/core/answers.py",
        before="next_probe=Nanos(ledger.now + interval),",
        after="next_probe=None,",
        story="Whatever is not ready at the first question is never asked again, and is restarted"
        " at its startTimeout, again and again.",
    ),
    Mutant(
        name="what-outlives-a-crash-is-asked-for-ever",
        module="reconciler/core/upkeep.py",
        before="return record.state in (State.STOPPED, State.CRASHED) and record.swept",
        after="return record.state is State.STOPPED and record.swept",
        story="A worker that outlived its crashed server ignores SIGTERM. It gets one each second"
        " and is never killed, and the server never comes back.",
    ),
    Mutant(
        name="kills-with-a-question",
        module="reconciler/core/issuing.py",
        before="killed = replace(record, killed=True, next_probe=None, probing=None)",
        after="killed = replace(record, next_probe=None, probing=None)",
        story="Whoever ignores SIGTERM gets it every ten seconds instead of SIGKILL, and its new"
        " version never starts.",
    ),
    Mutant(
        name="wakes-at-once-for-ever",
        module="reconciler/core/passing.py",
        before="return min((at for at in _moments(ledger) if at > ledger.now), default=None)",
        after="return min((at for at in _moments(ledger) if at >= ledger.now), default=None)",
        story="A moment that came is waited for again: the daemon takes a whole core until the"
        " clock moves on.",
    ),
)

REQUESTS = (
    Mutant(
        name="a-restart-is-over-before-it-began",
        module="reconciler/core/tidying.py",
        before="for index in range(memory.spec.instances):",
        after="for index in range(memory.spec.instances - 1):",
        story="`weaver restart` works for services of several instances, but for the last one; for"
        " all others it does nothing.",
    ),
    Mutant(
        name="a-stop-of-an-earlier-daemon-is-not-remembered",
        module="reconciler/core/issuing.py",
        before="memory=replace(record.memory, asked=asked),",
        after="memory=record.memory,",
        story="The daemon dies while a service restarts. The next one takes its end for its own"
        " doing, and with `restart: on-failure` it stays down.",
    ),
    Mutant(
        name="a-yes-is-not-heard",
        module="reconciler/core/wishes.py",
        before="and last.prune == prune\n",
        after="and (last.prune is None) == (prune is None)\n",
        story="Somebody agrees to a removal. It is written down, reported, and never happens.",
    ),
)

SHUTDOWN = (
    Mutant(
        name="what-is-held-outlives-the-shutdown",
        module="reconciler/core/wishes.py",
        before="runs = not situation.shutting_down and spec.wants_to_run",
        after="runs = spec.wants_to_run",
        story="`weaver down` hangs for ever on a host where a removal waits for a yes.",
    ),
    Mutant(
        name="a-start-under-way-outlives-the-shutdown",
        module="reconciler/core/tidying.py",
        before="is_live(record) and record.state is not State.UNKNOWN for record in"
        " ledger.records()",
        after="record.process is not None and record.state is not State.UNKNOWN"
        " for record in ledger.records()",
        story="`weaver down` just after a start reports that all is stopped. The service comes up"
        " a moment later, with nobody left to stop it.",
    ),
)
