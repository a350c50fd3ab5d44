"""Explain a service's state as a chain: itself, then what it waits for, and so on."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.observed import State
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import Nanos, ServiceName, in_seconds
from reconciler.runtime.control import Reason

DEEPEST = 32


def chain(picture: Picture, name: ServiceName) -> list[Reason]:
    """Give the links, each followed by those that explain it."""
    return list(_links(picture, name, 0, {name}))


def _links(
    picture: Picture, name: ServiceName, depth: int, seen: set[ServiceName]
) -> Iterator[Reason]:
    status = picture.services.get(name)
    if status is None:
        yield Reason(service=name, state="unknown", because="no such service", depth=depth)
        return
    yield Reason(
        service=name,
        state=status.state,
        because=_because(picture, status),
        file=str(status.source) if status.source.file else "",
        depth=depth,
    )
    if (overlay := status.overlay) is not None:
        why = f": {overlay.reason}" if overlay.reason else ""
        yield Reason(
            service=name,
            state="ephemeral",
            because=f"applied by {overlay.actor or 'somebody'}{why}; weaver revert {name} ends it",
            depth=depth + 1,
        )
    for fault in status.invalid:
        yield Reason(
            service=name,
            state="invalid",
            because=f"{fault.code} {fault.message}",
            file=str(fault.source),
            depth=depth + 1,
        )
    for wait in status.waiting_for:
        if wait.service not in seen and depth < DEEPEST:
            seen.add(wait.service)
            yield from _links(picture, wait.service, depth + 1, seen)


def spoken(status: ServiceStatus, now: Nanos) -> str:
    """Give a service's reason, for how long that is wanted, and when it runs next."""
    run, overlay, reason = status.next_run, status.overlay, status.reason
    if overlay is not None:
        left = f"ephemeral for {_ago(Nanos(overlay.ends_at - now))} more"
        reason = f"{left}: {reason}" if reason else left
    if run is None or run.at is None:
        return reason
    coming = f"next run in {_ago(Nanos(run.at - now))}"
    return f"{reason}; {coming}" if reason else coming


def _because(picture: Picture, status: ServiceStatus) -> str:
    """Give the reason, with what is known of the last exit where it says more."""
    reason = spoken(status, picture.now) or picture.host_unseen or _plain_reason(picture, status)
    exits = [slot.last_exit for slot in status.slots if slot.last_exit is not None]
    is_down = status.state in (State.CRASHED, State.STARTING, State.DEGRADED)
    if is_down and exits:
        last = str(max(exits, key=lambda end: end.at))
        if last not in reason:
            return f"{reason}; its last end: {last}"
    return reason


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def _last_restart(picture: Picture, status: ServiceStatus) -> str:
    """Say when a process was last started again by itself, and what had ended it."""
    restarted = [
        (slot.last_restart, str(slot.last_exit))
        for slot in status.slots
        if slot.restarts and slot.last_restart is not None and slot.last_exit is not None
    ]
    if not restarted:
        return ""
    at, end = max(restarted)
    return f"; restarted {_ago(Nanos(picture.now - at))} ago: {end}"


def _ago(time: Nanos) -> str:
    """Give a span in its largest unit.

    >>> [_ago(Nanos(seconds * 10**9)) for seconds in (3, 75, 7325, 200_000)]
    ['3 s', '1 min', '2 h', '2 d']
    """
    whole = max(0, int(in_seconds(time)))
    for size, unit in _UNITS:
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def _plain_reason(picture: Picture, status: ServiceStatus) -> str:
    """Say why all is well, for somebody who asks all the same."""
    if picture.source_held:
        return f"as last read; the manifests are not followed just now: {picture.source_held}"
    if status.state is State.RUNNING:
        return "its manifest says running, and it is" + _last_restart(picture, status)
    return "as its manifest says"
