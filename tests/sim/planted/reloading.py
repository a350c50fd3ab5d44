"""Bugs that load a configuration too often, or never."""

from __future__ import annotations

from tests.sim.planting import Mutant

RELOADS = (
    Mutant(
        name="what-changed-counts-as-loaded",
        module="reconciler/core/reloads.py",
        before="for path, text in at_start(spec).items() if path not in noted}",
        after="for path, text in at_start(spec).items()}",
        story="A certificate is renewed and named in `reloadOn`. Nothing happens, and three weeks"
        " later the old one, still in use, runs out.",
    ),
    Mutant(
        name="what-was-loaded-is-forgotten",
        module="reconciler/core/reloads.py",
        before="loaded={**record.memory.loaded, **under_way.loads},",
        after="loaded=record.memory.loaded,",
        story="A service whose file changed is sent SIGHUP without end, a thousand times a second.",
    ),
    Mutant(
        name="a-reload-counts-from-its-end",
        module="reconciler/core/reloads.py",
        before="        reloaded_at=under_way.since,\n        reload_failed=",
        after="        reloaded_at=ledger.now,\n        reload_failed=",
        story="Somebody mends a configuration while its service is loading it, and asks for a"
        " reload. It counts as done by the one that is under way, with the mistake.",
    ),
)

COMMANDS = (
    Mutant(
        name="a-failed-reload-is-tried-without-end",
        module="reconciler/core/reloads.py",
        before="        loaded=dict(record.memory.loaded) | dict(occasion.loads),",
        after="        loaded=dict(record.memory.loaded if problem else occasion.loads),",
        story="A configuration has a mistake in it, and the command that checks it is run a"
        " thousand times, and pages somebody each time.",
    ),
    Mutant(
        name="what-a-reload-loaded-is-taken-from-its-order",
        module="reconciler/core/errands.py",
        before="occasion = replace(occasion, since=ledger.now, loads=spec.loads)",
        after="occasion = replace(occasion, since=ledger.now)",
        story="A service whose file changed runs its reload command without end.",
    ),
)

WATCHES = (
    Mutant(
        name="its-own-changes-restart-it-for-ever",
        module="reconciler/core/watching.py",
        before="if not again:",
        after="if again:",
        story="A service writes its database into the folder that is watched for its code, and is"
        " restarted twice a second, for days.",
    ),
    Mutant(
        name="what-changed-does-not-restart-what-runs",
        module="reconciler/core/watching.py",
        before="replace(memory, restart_before=at, restart_reason=reason,",
        after="replace(memory, restart_before=memory.restart_before, restart_reason=reason,",
        story="Somebody saves a file and tries the old code, again and again.",
    ),
)
