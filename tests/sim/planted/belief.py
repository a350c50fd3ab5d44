"""Bugs that do harm by believing what is not so, or by meaning the wrong one."""

from __future__ import annotations

from tests.sim.planting import Mutant

REMOVAL = (
    Mutant(
        name="empty-folder-removes-all",
        module="reconciler/core/prune.py",
        before="is_large = len(asked) == count or len(asked)",
        after="is_large = len(asked)",
        story="A wrong checkout leaves the folder of manifests empty for a second, and the two"
        " services of a small host are gone.",
    ),
    Mutant(
        name="most-may-go-unasked",
        module="reconciler/core/prune.py",
        before="or len(asked) + earlier > may_go",
        after="and may_go > 0",
        story="A bad merge deletes all manifests but one. The guard against mass removal only"
        " knows the case in which not even that one is left.",
    ),
    Mutant(
        name="removed-little-by-little",
        module="reconciler/core/prune.py",
        before="earlier = len(set(grounds.lately).difference(wanted))",
        after="earlier = len(set(grounds.lately).intersection(wanted))",
        story="A script that renders manifests loses three a minute, and commits. No commit is"
        " large; in half an hour the host is empty.",
    ),
    Mutant(
        name="held-counts-as-leaving",
        module="reconciler/core/wants.py",
        before="going = (ledger.services.keys() - wanted.keys()).difference(held)",
        after="going = ledger.services.keys() - wanted.keys()",
        story="A mass removal is held, as it should be. With the next commit, of whatever kind, it"
        " goes through without a yes.",
    ),
    Mutant(
        name="a-yes-to-something-else",
        module="reconciler/core/wants.py",
        before="if prune is not None and prune.id == operation.prune_id:",
        after="if prune is not None:",
        story="Somebody agrees to a removal of four services. Another commit made it forty in the"
        " meantime, and all forty go.",
    ),
    Mutant(
        name="protection-ends-with-its-file",
        module="reconciler/core/prune.py",
        before="guarded = [name for name in asked if name in grounds.protected]",
        after="guarded = [name for name in asked if name not in owned]",
        story="A merge deletes the manifest of the database, one file of many. It was protected,"
        " and goes all the same.",
    ),
    Mutant(
        name="protection-ends-with-its-line",
        module="reconciler/core/settle.py",
        before="if memory is not None and memory.spec.protect and spec.protect is None:",
        after="if memory is not None and memory.spec.protect and spec.protect:",
        story="A clean-up of a manifest drops the line that protects, the next one the file. Nobody"
        " ever said that the service may go.",
    ),
    Mutant(
        name="removed-beside-a-broken-file",
        module="reconciler/core/prune.py",
        before="in asked if name in grounds.doubts]:",
        after="in asked if name in grounds.doubts and name in wanted]:",
        story="A service is moved into the file of another one, with a tab where spaces belong: it"
        " is taken for removed, and stopped.",
    ),
    Mutant(
        name="removed-by-name-though-protected",
        module="reconciler/core/wants.py",
        before="gone = leaving | (ledger.released - protected)",
        after="gone = leaving | ledger.released",
        story="A service is unregistered in the very second in which a commit protects it: it goes,"
        " though its manifest says that it waits for a yes.",
    ),
    Mutant(
        name="broken-file-counts-as-deleted",
        module="reconciler/core/settle.py",
        before="if broken and name not in services:",
        after="if broken and name in services:",
        story="A tab in a YAML file: what the file defined last is taken for deleted, and stopped.",
    ),
    Mutant(
        name="stopped-for-want-of-a-good-manifest",
        module="reconciler/core/wishes.py",
        before='spared="no good version of its manifest is known" if may_run and not spec else "",',
        after='spared="",',
        story="The record was lost, and one manifest cannot be used. Its service, which ran all"
        " the while, is stopped.",
    ),
)

TARGET = (
    Mutant(
        name="end-of-an-older-run-ends-this-one",
        module="reconciler/core/ends.py",
        before="    if process is None or process.run != event.run:\n"
        "        if event.run not in (record.memory.ended, record.memory.exited):",
        after="    if process is None:\n"
        "        if event.run not in (record.memory.ended, record.memory.exited):",
        story="The end of the former process is told twice. The second time it is taken for the"
        " end of its successor, which is swept away in good health.",
    ),
    Mutant(
        name="left-overs-are-not-reached",
        module="reconciler/core/issuing.py",
        before="        scope = Scope.TREE\n",
        after="        scope = Scope.MAIN\n",
        story="A wrapper dies and leaves its server behind. The stop goes to the dead wrapper, so"
        " the server never hears of it and is killed.",
    ),
)

UNRELATED = (
    Mutant(
        name="restarts-with-every-need",
        module="reconciler/core/replacing.py",
        before="        if need.on_restart is OnRestart.RESTART:\n",
        after="        if need.condition:\n",
        story="Services that asked not to be restarted with their needs are restarted with them,"
        " and a small change of a database takes down the whole host for a minute.",
    ),
    Mutant(
        name="ends-what-it-cannot-replace",
        module="reconciler/core/replacing.py",
        before="    waits = unmet(board, wish)\n",
        after="    waits: tuple[Wait, ...] = ()\n",
        story="A new version of the site is committed while the database is down for repair. The"
        " old version, which served from its cache, is stopped, and the new one cannot start.",
    ),
    Mutant(
        name="start-clock-runs-on-after-ready",
        module="reconciler/core/answers.py",
        before="deadline=record.deadline if is_oneshot else None,",
        after="deadline=record.deadline,",
        story="Each service runs for exactly its startTimeout and is then stopped, for not being"
        " ready, which it was from its first second.",
    ),
)

REASON = (
    Mutant(
        name="start-without-a-reason",
        module="reconciler/core/whys.py",
        before='if wish.is_invalid else "its manifest says running"',
        after='if wish.is_invalid else ""',
        story="`weaver events` shows starts, and nobody can say why.",
    ),
    Mutant(
        name="restart-loses-its-reason",
        module="reconciler/core/issuing.py",
        before="Stop(slot=action.slot, target=action.target, because=action.because))",
        after="Stop(slot=action.slot, target=action.target, because=record.cause))",
        story="Every restart says only that it happened: the reason is read from a record that was"
        " not given it yet.",
    ),
)

EXITS = (
    Mutant(
        name="end-while-nobody-listened",
        module="reconciler/core/looking.py",
        before="is_stale = process.started < memory.newest or",
        after="is_stale = process.started <= memory.newest or",
        story="A migration ends well while the daemon is restarted. Its end counts for nothing,"
        " and it runs again.",
    ),
    Mutant(
        name="end-in-a-look-is-overlooked",
        module="reconciler/core/looking.py",
        before="return process.exit is None and len(processes) == 1 and processes[0] == process",
        after="return process.exit is None and len(processes) == 1",
        story="A service dies while the holder cannot be reached. All later looks show that it is"
        " dead, and it is shown as running until somebody complains.",
    ),
    Mutant(
        name="the-dead-are-not-found",
        module="reconciler/core/looking.py",
        before="ours = next((process for process in processes if process.run == run), None)",
        after="ours = next((one for one in processes if one.run == run and one.is_live), None)",
        story="A job exits 0 while the holder cannot be reached. Its exit code is on record there,"
        " and is taken as unknown: the job counts as failed.",
    ),
    Mutant(
        name="early-exit-code-lost",
        module="reconciler/core/ends.py",
        before="end = end or (known.exit if known else None)",
        after="end = end if end else None",
        story="A job is over before the answer to its start arrives. How it ended is forgotten on"
        " the way, so a job that succeeded is run again.",
    ),
    Mutant(
        name="acknowledged-before-it-is-on-record",
        module="reconciler/core/engine.py",
        before="may_acknowledge=has_heard_all(ledger),",
        after="may_acknowledge=True,",
        story="The holder is told that it may forget an exit, and the daemon dies before it has"
        " written it down: nobody will ever know how the process ended.",
    ),
    Mutant(
        name="early-end-dropped-by-an-older-look",
        module="reconciler/core/looking.py",
        before="if early.slot in unclaimed or is_awaited(ledger.record(early.slot), early)",
        after="if early.slot in unclaimed",
        story="A process ends before the answer to its start arrives, and a look comes between."
        " The end is forgotten, and a dead process is shown as running.",
    ),
)

STALE = (
    Mutant(
        name="stale-look-believed",
        module="reconciler/core/looking.py",
        before="if record.touched < look.serial and not _is_as_known(record, processes):",
        after="if not _is_as_known(record, processes):",
        story="On a busy machine a look takes a second. What was started since is missing in it,"
        " counts as dead, and is started again.",
    ),
    Mutant(
        name="look-from-before-the-loss-believed",
        module="reconciler/core/looking.py",
        before="ledger.newest_look = ledger.serial\n",
        after="ledger.look_again = True\n",
        story="The holder is gone, and its last look is still in the queue. It is believed, and"
        " the daemon acts on a host that it cannot see.",
    ),
    Mutant(
        name="a-forgotten-slot-forgets-its-commands",
        module="reconciler/core/ledger.py",
        before="self.dropped[slot] = self.serial",
        after="self.dropped[slot] = Serial(0)",
        story="A service was removed, and a look from before comes late: the service is there"
        " again, running, with the pid of a dead process.",
    ),
    Mutant(
        name="the-ended-are-adopted",
        module="reconciler/core/looking.py",
        before="(process for process in processes if process.run not in"
        " (run, record.memory.ended)),",
        after="(process for process in processes if process.run != run),",
        story="A process ends while a look is under way that still shows it. It is adopted as if"
        " it lived, and its place stays empty for half a minute.",
    ),
)

ONESHOTS = (
    Mutant(
        name="killed-counts-as-done",
        module="reconciler/core/backoff.py",
        before="if end.signal in CLEAN_SIGNALS and not spec.is_oneshot:",
        after="if end.signal in CLEAN_SIGNALS or not spec.is_oneshot:",
        story="A service with `restart: on-failure` is killed for want of memory, counts as ended"
        " well, and stays down.",
    ),
    Mutant(
        name="changed-oneshot-counts-as-done",
        module="reconciler/core/wishes.py",
        before="if memory.done != spec.digest or memory.done_at is None:",
        after="if memory.done is None or memory.done_at is None:",
        story="A migration was changed and committed. It is never run, because another one of that"
        " name was.",
    ),
)
