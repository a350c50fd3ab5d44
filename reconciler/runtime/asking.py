"""Ask for a commit: of one change, or of several that go into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.ports import CommitPart, CommitRequest
from reconciler.runtime import intents
from reconciler.runtime.requests import Terms
from reconciler.runtime.tasks import Task


def request_of(task: Task, terms: Terms) -> CommitRequest:
    """Give what to commit for a task."""
    return CommitRequest(
        intents=task.intents,
        subject=intents.subject(task.services, task.what),
        author=terms.author,
        op=task.op,
        op_id=task.id,
        source=terms.source,
        services=task.services,
        reason=terms.reason,
        if_revision=terms.if_revision,
    )


def joined(batch: Sequence[tuple[Task, Terms]]) -> CommitRequest:
    """Give one request for changes of one person; each keeps its own words beside the others'."""
    requests = [request_of(task, terms) for task, terms in batch]
    services = tuple(name for one in requests for name in one.services)
    ops = list(dict.fromkeys(one.op for one in requests))
    return replace(
        requests[0],
        intents=tuple(intent for one in requests for intent in one.intents),
        subject=intents.subject(services, f"{', '.join(ops)} ({len(requests)} changes)"),
        op=", ".join(ops),
        op_id=", ".join(one.op_id for one in requests),
        services=services,
        reason="",
        parts=tuple(
            CommitPart(op=one.op, op_id=one.op_id, services=one.services, reason=one.reason)
            for one in requests
        ),
    )
