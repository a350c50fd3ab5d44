"""Bugs that do harm by doing something at the wrong moment: too early, or out of order."""

from __future__ import annotations

from tests.sim.planting import Mutant

ONE_PROCESS = (
    Mutant(
        name="act-before-the-first-look",
        module="reconciler/core/engine.py",
        before="ledger.host_seen and (ledger.manifests_seen or ledger.shutting_down)",
        after="(ledger.manifests_seen or ledger.shutting_down)",
        story="After an upgrade the daemon starts every service a second time, before it has"
        " seen that they all run. The second ones fail on their ports, or corrupt shared files.",
    ),
    Mutant(
        name="start-while-a-start-is-unanswered",
        module="reconciler/core/upkeep.py",
        before="    if record.pending is not None:\n        return Hold(",
        after="    if record.pending is not None and record.process is not None:\n"
        "        return Hold(",
        story="A slow machine takes a second to fork; meanwhile the slot looks empty and is"
        " started again.",
    ),
    Mutant(
        name="start-does-not-touch-its-slot",
        module="reconciler/core/issuing.py",
        before="return replace(record, pending=ledger.pending(serial), touched=serial)",
        after="return replace(record, pending=ledger.pending(serial))",
        story="A look that began before a start says that the slot is empty. It is believed, so"
        " the process just started counts as vanished and gets a twin.",
    ),
)

NEEDS_FIRST = (
    Mutant(
        name="one-ready-instance-is-enough",
        module="reconciler/core/conditions.py",
        before="return any(found) if wish.rollout is not None else all(found)",
        after="return any(found)",
        story="A service that needs all shards of a store starts when the first one is up, and"
        " answers half of its requests with errors.",
    ),
    Mutant(
        name="stopped-need-counts-as-met",
        module="reconciler/core/conditions.py",
        before="if wish is None or wish.spec is None or not wish.runs or wish.instances == 0:",
        after="if wish is None or wish.spec is None:",
        story="The database is stopped for maintenance; everything that needs it is started"
        " against nothing.",
    ),
    Mutant(
        name="optional-need-is-not-waited-for",
        module="reconciler/core/conditions.py",
        before="(not need.required and _is_out_of_reach(board, need))",
        after="not need.required",
        story="A service would rather have its cache, and is started together with it: it finds"
        " none at every boot, and does without until somebody restarts it.",
    ),
    Mutant(
        name="oneshot-at-work-counts-as-ready",
        module="reconciler/core/conditions.py",
        before="return done if wish.spec.is_oneshot else is_up(record)",
        after="return done or is_up(record)",
        story="The web server starts while the migration is still at work, and serves from half"
        " a schema.",
    ),
    Mutant(
        name="starts-do-not-wait",
        module="reconciler/core/upkeep.py",
        before="return Start(slot=slot, because=because, after=waits)",
        after="return Start(slot=slot, because=because)",
        story="After a power cut all services start at once, and crash into a database that is"
        " not up.",
    ),
    Mutant(
        name="start-into-a-restart",
        module="reconciler/core/upkeep.py",
        before="if need.service not in waiting and replacement and not replacement.blocked_by:",
        after="if need.service in waiting and replacement and not replacement.blocked_by:",
        story="One commit adds a service and changes what it needs: the new one starts in the very"
        " moment in which its need is told to end, and crashes.",
    ),
)

DEPENDENTS_FIRST = (
    Mutant(
        name="what-waits-is-done-at-once",
        module="reconciler/core/engine.py",
        before="if isinstance(action, Update | Forget) or not action.after:",
        after="if isinstance(action, Update | Forget) or action.after is not None:",
        story="The plan says what each step waits for, and the engine performs all of them at"
        " once: a shutdown ends the database together with the services that still write to it.",
    ),
    Mutant(
        name="stops-do-not-wait",
        module="reconciler/core/upkeep.py",
        before="after=() if wish.runs else _stopped_first(desk, wish.name),",
        after="after=_stopped_first(desk, wish.name) if wish.runs else (),",
        story="Both the site and its database are removed in one commit. The database goes first,"
        " and what the site had in memory is lost.",
    ),
    Mutant(
        name="order-of-stops-upside-down",
        module="reconciler/core/upkeep.py",
        before="is_behind = board.layout.place[dependent] > board.layout.place[need]",
        after="is_behind = board.layout.place[dependent] < board.layout.place[need]",
        story="Needs end first: at every shutdown the log fills with lost connections.",
    ),
    Mutant(
        name="order-of-stops-ends-at-one-that-stays",
        module="reconciler/core/upkeep.py",
        before="(before.add if dependent in ending else todo.append)(dependent)",
        after="(before.add if dependent in ending else seen.add)(dependent)",
        story="The store and the service two steps behind it restart; what lies between stays."
        " They end in any order, and the one behind loses what it had not flushed.",
    ),
    Mutant(
        name="restart-does-not-wait-for-dependents",
        module="reconciler/core/upkeep.py",
        before="after = _stopped_first(desk, wish.name)",
        after="after: tuple[Wait, ...] = ()",
        story="A commit changes the API and its database: the database goes down first, and the"
        " requests that were under way fail.",
    ),
)

PATIENCE = (
    Mutant(
        name="start-timeout-taken-for-stop-timeout",
        module="reconciler/core/issuing.py",
        before="name, patience = spec.stop_signal, spec.stop_timeout",
        after="name, patience = spec.stop_signal, spec.start_timeout or spec.stop_timeout",
        story="A database that may take minutes to flush is killed after the seconds it may take"
        " to start, and has to recover.",
    ),
    Mutant(
        name="undelivered-counts-as-delivered",
        module="reconciler/core/answers.py",
        before="    elif event.problem:\n        overdue_at",
        after="    elif event.problem and pending.overdue_at <= ledger.now:\n        overdue_at",
        story="The holder was away when a stop was sent. Nobody sends it again, and the service is"
        " killed at its stopTimeout without ever having been asked.",
    ),
    Mutant(
        name="lost-signal-is-not-sent-again",
        module="reconciler/core/looking.py",
        before="if is_unanswered and record.process is not None:",
        after="if is_unanswered and record.killed:",
        story="A stop gets lost on its way. The look that shows it does not lead to another one,"
        " and SIGKILL comes unannounced.",
    ),
)

TIME_ASIDE = (
    Mutant(
        name="a-sleep-is-put-off-twice",
        module="reconciler/core/looking.py",
        before="pending = replace(pending, overdue_at=Nanos(pending.overdue_at + span))",
        after="pending = replace(pending, overdue_at=pending.overdue_at)",
        story="A laptop is closed while a service is being stopped. What does not obey is killed a"
        " whole night late.",
    ),
    Mutant(
        name="a-start-is-slept-through",
        module="reconciler/core/answers.py",
        before="await_ready(ledger, record, _since(ledger, record))",
        after="await_ready(ledger, record, process.started)",
        story="A laptop is closed while a service starts. It is killed on waking, for a"
        " startTimeout in which nobody was awake.",
    ),
    Mutant(
        name="sleep-counts-as-time-to-stop",
        module="reconciler/core/passing.py",
        before="put_off(ledger, Nanos(ledger.now - ledger.stepped_at))",
        after="put_off(ledger, OVERSLEPT)",
        story="A laptop is closed while a service stops. On waking an hour has passed, and the"
        " service is killed with its file half-written.",
    ),
)

BACK_OFF = (
    Mutant(
        name="back-off-doubles-late",
        module="reconciler/core/backoff.py",
        before="for _ in range(failures - 1):",
        after="for _ in range(failures - 2):",
        story="The second wait is as short as the first; a struggling database gets twice the"
        " reconnects it was promised.",
    ),
    Mutant(
        name="back-off-forgotten-at-each-start",
        module="reconciler/core/answers.py",
        before="trouble=replace(memory.trouble, retry_at=None),",
        after="trouble=replace(memory.trouble, retry_at=None, failures=0),",
        story="A service that crashes at once is restarted every second for ever: it counts to"
        " one, starts, and counts to one again.",
    ),
    Mutant(
        name="a-moment-of-uptime-forgives",
        module="reconciler/core/backoff.py",
        before="failures = 1 if uptime >= spec.backoff.reset_after else trouble.failures + 1",
        after="failures = 1 if uptime >= spec.backoff.initial else trouble.failures + 1",
        story="A service that crashes after three seconds never backs off and never gives up, and"
        " fills the disk with core dumps.",
    ),
    Mutant(
        name="back-off-of-failed-starts-not-remembered",
        module="reconciler/core/ledger.py",
        before="if self.record(slot).memory != record.memory:",
        after="if self.record(slot).memory.exited != record.memory.exited:",
        story="A missing program is tried a few times, as it should. Each restart of the daemon"
        " begins to try anew, for nothing of it was written down.",
    ),
    Mutant(
        name="back-off-recalled-only-where-it-was-ready",
        module="reconciler/core/ledger.py",
        before="remembered_slots=dict(memory.slots),",
        after="remembered_slots={s: kept for s, kept in memory.slots.items() if kept.ready_run},",
        story="An upgrade of the daemon starts every crash-looping service at once, however long"
        " its wait had grown.",
    ),
    Mutant(
        name="new-words-forgive-and-new-fields-do-not",
        module="reconciler/core/issuing.py",
        before="if not _MENDS_NOTHING.issuperset(action.fields):",
        after="if _MENDS_NOTHING.issuperset(action.fields):",
        story="Somebody mends the description of a crash-looping service, and it is hammered with"
        " starts again.",
    ),
    Mutant(
        name="tidying-ends-the-back-off",
        module="reconciler/core/tidying.py",
        before="if not is_wanted and record.memory.trouble != Trouble():",
        after="if not is_wanted or record.memory.trouble != Trouble():",
        story="A crashed service is tidied like one that is wanted stopped: its failures are"
        " forgotten, and it is restarted without any wait.",
    ),
)
