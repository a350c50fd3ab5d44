"""Count failures, wait longer after each, and give up in the end."""

from __future__ import annotations

from dataclasses import replace

from reconciler.core.luck import fraction
from reconciler.model.observed import Exit, Slot
from reconciler.model.record import Trouble
from reconciler.model.spec import Backoff, RestartPolicy, ServiceSpec
from reconciler.model.units import Nanos

# Deaths by these signals are how services are commonly asked to end, so they count as clean
# (systemd.service(5), SuccessExitStatus=).
CLEAN_SIGNALS = frozenset({"SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"})


def ended_well(spec: ServiceSpec, end: Exit) -> bool:
    """Tell whether an exit was a success.

    A oneshot must exit; a service may also end by a signal that asks it to.
    """
    if end.code is not None:
        return end.code == 0 or end.code in spec.success_exit_codes
    if end.signal in CLEAN_SIGNALS and not spec.is_oneshot:
        return True
    return end.signal is not None and end.signal in spec.success_exit_codes


def wants_restart(spec: ServiceSpec, *, well: bool) -> bool:
    """Tell whether the policy starts a process again after it ended by itself."""
    if spec.is_oneshot and well:
        return False
    match spec.restart:
        case RestartPolicy.ALWAYS:
            return True
        case RestartPolicy.ON_FAILURE:
            return not well
        case RestartPolicy.NEVER:
            return False


def end_in_words(spec: ServiceSpec, end: Exit) -> str:
    """Say that a process ended well and is not started again by itself."""
    how = end.code if end.code is not None else end.signal
    return (
        f"completed ({how})"
        if spec.is_oneshot
        else f"ended well ({how}), restart is {spec.restart}"
    )


def delay(backoff: Backoff, failures: int, luck: float) -> Nanos:
    """Give the wait before restart number `failures`; `luck` is in [0, 1).

    >>> [delay(Backoff(jitter=Nanos(0)), n, 0.0) // 10**9 for n in (1, 2, 3, 7, 8, 1000)]
    [1, 2, 4, 60, 60, 60]
    """
    longest = float(backoff.max)
    wait = float(backoff.initial)
    for _ in range(failures - 1):
        if wait >= longest or wait == 0 or backoff.factor <= 1:
            break
        wait *= backoff.factor
    # `initial: 0` asks for a restart at once: no jitter on top of nothing.
    spread = luck * backoff.jitter if backoff.initial else 0
    return Nanos(round(min(wait, longest) + spread))


def after_failure(  # noqa: PLR0913 - each is a fact of its own, and all are needed
    trouble: Trouble,
    spec: ServiceSpec,
    slot: Slot,
    *,
    because: str,
    uptime: Nanos,
    now: Nanos,
    seed: int,
) -> Trouble:
    """Give the trouble after one more failure: when to try again, or that it is over."""
    failures = 1 if uptime >= spec.backoff.reset_after else trouble.failures + 1
    failed = Trouble(failures=failures, because=because)
    if spec.restart is RestartPolicy.NEVER:
        return replace(failed, gave_up=True)
    if spec.max_restarts is not None and failures > spec.max_restarts:
        return replace(failed, gave_up=True)
    luck = fraction(f"{slot}:{failures}", seed)
    return replace(failed, retry_at=Nanos(now + delay(spec.backoff, failures, luck)))
