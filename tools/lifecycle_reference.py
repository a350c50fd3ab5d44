"""Write docs/lifecycle.md from the table of states, so that the diagram is what is so."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.lifecycle import NEXT, Signal
from reconciler.model.observed import State

HEAD = """\
# The life of a service

<!-- Written by `make docs` from reconciler/core/lifecycle.py; do not edit. -->

Each instance of a service has a *slot*, numbered from 0, and at most one process at a time. This is
the life of a slot. A pair of state and signal that is not listed changes nothing.
"""

STATES = {
    State.STOPPED: "nothing runs: it should not, or it has not begun, or it is done",
    State.STARTING: "a process runs and is not ready yet",
    State.RUNNING: "a process runs and is ready",
    State.DEGRADED: "a process runs and its checks fail",
    State.STOPPING: "the process was asked to end; all that it started has to end too",
    State.CRASHED: "the process ended by itself and should not have, or could not be started",
    State.UNKNOWN: "what is in the slot cannot be verified, so it is left alone",
}

TAIL = """\
## From slots to the service

A service whose slots are all alike has their state. If only some run, it is `degraded`, with words
such as "1 of 2 running"; else it has the worst of `crashed`, `unknown`, `starting`, `stopping`. So
it has while a [rollout](rollouts.md) replaces them one after the other, which is no degradation.
Only its own slots count: not one that helps out in a rollout, or that has to go.

| health | when |
|---|---|
| `Healthy` | running and ready; or a oneshot that exited well |
| `Progressing` | starting, or waiting for its next try after a crash |
| `Degraded` | degraded, or crashed for good |
| `Stopped` | stopped, as its manifest says |
| `Missing` | wanted, without a process, and nothing is planned |
| `Unknown` | it cannot be verified |

| sync | when |
|---|---|
| `Synced` | what runs is what the manifest says |
| `OutOfSync` | it is not yet |
| `Invalid` | the manifest has faults; the last good one stays in force |
| `Held` | something is deliberately not done: a large removal that waits for a yes |
| `Unknown` | it cannot be verified, or the manifests were not read yet |

## After a crash

A process that ends though it should run is started again after a *back-off*: by default 1 s, then
2 s, 4 s and so on up to 60 s, each with up to 1 s of jitter. After `maxRestarts` of these (default
10) Weaver gives up: the service stays `crashed` until `weaver start NAME` or a change of its
manifest. The count begins anew after 5 minutes of uptime. A start that fails, since its program
cannot be run or is not ready in time, is a failure like a crash.

| how it ended | `always` | `on-failure` | `never` |
|---|---|---|---|
| well | restarts | stays `stopped`, `Healthy` | stays `stopped`, `Healthy` |
| a oneshot, well | stays `stopped`, `Healthy` | the same | the same |
| anything else, or its start failed | restarts | restarts | stays `crashed` |

*Well* is exit code 0, what `successExitCodes` names, and, but for a oneshot, death by SIGHUP,
SIGINT, SIGTERM or SIGPIPE. The two `stopped` say why: "ended well (0), restart is on-failure".
Before a process was ready, no end is a good one. What a person or a manifest stops is never
restarted.

Of the whole host at most 20 services a second are started again after a crash, in turn; a cold
start is not held back.

Two things are no failure, and are tried again without a count: a place that is still taken, and a
host that has no process, memory or descriptor to give (EAGAIN, ENOMEM, EMFILE, ENFILE).

## Degraded, and back

Readiness is asked until a process is ready, and never again. From then on its `healthCheck` says
how it is, and `degradationThreshold` when that is bad enough: `consecutiveFailures` checks failed
in a row, or so many percent (`failureRate`) of those in `timeWindow` did, once there are five of
them. A `running` slot then becomes `degraded`; it is not replaced, and its dependents run on.

It is `running` again after `successThreshold` checks in a row have passed and the part that failed
is at most half of `failureRate`. If it is degraded again within `timeWindow`, it has to pass twice
as many in a row the next time, up to eight times as many: what comes and goes stays `degraded`.

What else is done is for `onUnhealthy` to say, once in an episode, which ends when the slot is well
or has another process:

| `onUnhealthy` | does |
|---|---|
| `none` | nothing |
| `restart` | replaces the process in order, one slot after the other |
| `reload` | reloads it as its `reload` says, at most once in `timeWindow` |
| `alert` | tells `health.alert`, at most once in `timeWindow`; the hook `notify` gets it |

The first time it acts at once. Each further time in a row it first leaves the slot the time of
`backoff` to get well by itself: 1 s, 2 s, 4 s and so on. After `maxRestarts` in a row the slot is
left running as it is, with `health.gave-up`: [why](decisions/degraded-services.md). These are no
crashes and no crash counts as one of these; the count begins anew after `backoff.resetAfter` (5
min) in good health, with a change of the manifest, or when somebody asks for a restart or a start.
A new daemon goes on counting.

## Stopping

The main process gets `stopSignal` (SIGTERM); with `shell: true` its whole group does. What is left
of the tree when it ended gets the signal too, and the rest of `stopTimeout` (10 s). Then the whole
tree gets SIGKILL. Dependents stop first.

`weaver stop web --now` waits for none of this: the tree gets SIGKILL at once, and so does a
`preStop` hook that is under way. `postStop` runs as ever. It also ends a stop that takes too long
for you.

## By hand

What somebody does to a process behind Weaver's back is drift: it is seen within seconds (30 at
most), is an event, stands in `weaver status` and `weaver diff` while it lasts, and is undone.

| somebody | what follows |
|---|---|
| kills a process | it is started again, as after a crash |
| stops it (SIGSTOP) for longer than a second | it and its group are told to go on (SIGCONT) |
| renices it, and its manifest names `nice` | it gets the `nice` of its manifest back |
| runs another with its port | it says whose the port is, and comes once that is free |

A process that is not Weaver's is never touched: it is named, with its pid, and the service whose
port it has is tried again however many `maxRestarts` there are.

Only the main process of each slot is looked at. A process that a debugger holds is left alone, so
attach one to look at it. Whoever wants a service to stand still says so: `weaver stop NAME`.
What cannot be undone, for want of permission, stays in the status with the reason, and is tried
again every few seconds.

## Events

`weaver events` shows them, `weaver events -f` follows.

| kind | says |
|---|---|"""

EVENTS = {
    "service.registered": "a manifest defines a new service",
    "service.unregistered": "no manifest defines it any more, and nothing of it runs",
    "service.starting": "a process is being started, and why",
    "service.ready": "it is ready, and what said so",
    "service.adopted": "a process was found running that an earlier daemon started; it is kept",
    "service.reloading": "it is told to load its configuration anew, and why",
    "service.reloaded": "it was told, and has said that it is done if it says such things",
    "service.reload-failed": "that did not work out; it goes on as it was",
    "watch.held": "it changes the files it is watched for itself, and is left alone for them",
    "service.stopping": "it is asked to end, and why",
    "service.degraded": "its checks fail beyond the threshold, and why",
    "service.recovered": "they pass again",
    "health.failed": "a check failed, though not beyond the threshold; at most once a minute",
    "health.ok": "it passes again; told where its failure was",
    "health.alert": "it is degraded, and `onUnhealthy: alert` says that people should know",
    "health.gave-up": "so many restarts in a row did not make it well; it runs on as it is",
    "service.over-limit": (
        "it was measured to use more than `maxMemory` or `maxCpu`, which no control group limits"
    ),
    "drift.found": "its process was stopped or reniced by hand, or a stranger has its port",
    "drift.repaired": "that is undone",
    "drift.begun": "something else than its manifest is wanted for a while (`apply --ephemeral`)",
    "drift.ended": "that is over, and why: its time, a change of its manifest, `revert`",
    "service.killed": "it did not end in time, and its tree gets SIGKILL",
    "service.stopped": "nothing of it runs any more, and how it ended",
    "service.completed": "a oneshot exited well",
    "service.crashed": "it ended by itself, could not be started, or did not get ready in time",
    "service.gave-up": "`maxRestarts` is used up",
    "hook.failed": "a hook of a service or of the host failed, could not start, or took too long",
    "service.unknown": "a process cannot be verified any more",
    "service.refused": "the host had no means or no address, or its hook said no; tried again",
    "service.socket-lost": "after two deaths only its processes have the port; it stays open",
    "schedule.missed": "scheduled times passed while nobody was there",
    "schedule.skipped": "a scheduled time came while the last run was going on",
    "dependency.lost": "it runs on while something it needs does not",
    "dependency.back": "what it needs is there again",
    "config.changed": "its manifest changed, at this revision",
    "git.committed": "a command wrote a commit",
    "git.fetched": "another commit of the branch is followed",
    "git.unsigned": "commits are followed though they are not signed as they should be",
    "git.dropped": "a change that a daemon died over cannot be made; the reason says why",
    "git.pushed": "commits of a checkout came to the branch that it goes to (`git.push`)",
    "git.unpushed": "something is in the way of a push; the reason says what",
    "git.refused": "the branch is not followed any further; the reason says why",
    "prune.held": "so many would be removed, at once or within 10 min, that it waits for a yes",
    "prune.approved": "somebody said yes",
    "plan.refused": "the judge refused a plan; the services concerned are left alone",
    "log.astray": "it writes to a log that was deleted or moved",
    "log.failed": "its log cannot be rotated",
    "log.lost": "rotation lost lines, at most so many bytes, where a file can only be emptied",
    "log.disk-full": "the disk of the logs is full; rotated files of the oldest lines were removed",
    "record.trouble": "the record in `.weaver/state.db` cannot be written",
}


def page() -> str:
    """Give the whole page."""
    lines = [HEAD, *_states(), *_diagram(), *_table(), TAIL, *_events()]
    return "\n".join(lines) + "\n"


def _states() -> Iterator[str]:
    yield from ("| state | means |", "|---|---|")
    yield from (f"| `{state}` | {meaning} |" for state, meaning in STATES.items())
    yield ""


def _diagram() -> Iterator[str]:
    """Draw the table; what may befall several states alike is left to the table below."""
    yield from ("```mermaid", "stateDiagram-v2", "    [*] --> stopped")
    for (before, signal), after in NEXT.items():
        if State.UNKNOWN not in (before, after) and not signal.name.startswith("FOUND"):
            yield f"    {before} --> {after}: {signal}"
    yield from ("```", "")


def _table() -> Iterator[str]:
    """Give the whole table, by state in the order of a life."""
    yield from ("## Every step", "", "| from | on | to |", "|---|---|---|")
    for state in STATES:
        for signal in Signal:
            after = NEXT.get((state, signal))
            if after is not None:
                yield f"| `{state}` | {signal} | `{after}` |"
    yield ""


def _events() -> Iterator[str]:
    return (f"| `{kind}` | {meaning} |" for kind, meaning in EVENTS.items())
