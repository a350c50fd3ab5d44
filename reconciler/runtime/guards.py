"""Refuse what would pull the ground from under services that run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.desired import Definition
from reconciler.model.observed import State
from reconciler.model.plan import HoldCode
from reconciler.model.record import RolloutPhase
from reconciler.model.spec import DesiredState
from reconciler.model.status import ServiceStatus
from reconciler.model.units import ServiceName
from reconciler.ports import BlockedError, ManifestError, NotFoundError
from reconciler.runtime.requests import Steer

Services = Mapping[ServiceName, ServiceStatus]
Definitions = Mapping[ServiceName, Definition]


def known(names: Iterable[ServiceName], services: Services) -> None:
    """See that these services exist. Raises NotFoundError with what may have been meant."""
    for name in names:
        if name not in services:
            raise unknown(name, services)


def understood(word: str, names: Iterable[ServiceName], services: Services) -> None:
    """See that these services ever had a good manifest. Raises ManifestError with what is wrong."""
    names = tuple(names)
    known(names, services)
    for name in names:
        status = services[name]
        if status.spec is None and status.invalid:
            raise ManifestError(
                f"cannot {word} {name}: its manifest is invalid, and always was",
                diagnostics=status.invalid,
            )


def may_reload(names: Iterable[ServiceName], services: Services) -> None:
    """See that these services say how they are reloaded. Raises BlockedError with the mend."""
    names = tuple(names)
    understood("reload", names, services)
    for name in names:
        spec, source = services[name].spec, services[name].source
        if spec is not None and spec.reload is None:
            raise BlockedError(
                f"cannot reload {name}: its manifest ({source}) has no `reload`",
                mend=f"weaver set {name} reload.signal=SIGHUP, if it loads its configuration "
                f"on that signal; else weaver restart {name}",
            )


def is_still_defined(word: str, names: Iterable[ServiceName], services: Services) -> None:
    """See that services do not only wait for their removal. Raises BlockedError with the mend."""
    for name in names:
        status = services.get(name)
        if status is not None and status.reason_code == HoldCode.PRUNE_HELD:
            raise BlockedError(
                f"cannot {word} {name}: {status.reason}",
                mend="weaver apply -f FILE brings its manifest back",
            )


def may_steer(name: ServiceName, steer: Steer, services: Services) -> None:
    """See that a service has a rollout that this can be done to. Raises BlockedError."""
    understood(f"{steer} the rollout of", [name], services)
    rollout = services[name].rollout
    if rollout is None:
        raise BlockedError(
            f"cannot {steer} the rollout of {name}: there is none",
            mend="weaver undo takes back the last commit; weaver history "
            f"{name} shows what became of it",
        )
    can = {
        Steer.PAUSE: rollout.phase in (RolloutPhase.ROLLING, RolloutPhase.BACK),
        Steer.RESUME: rollout.phase is not RolloutPhase.ROLLING,
        Steer.UNDO: rollout.phase in (RolloutPhase.ROLLING, RolloutPhase.PAUSED),
    }
    if not can[steer]:
        raise BlockedError(
            f"cannot {steer} the rollout of {name}: it is {_PHASES[rollout.phase]}",
            mend=f"weaver rollout status {name}",
        )


_PHASES = {
    RolloutPhase.ROLLING: "under way",
    RolloutPhase.PAUSED: "paused",
    RolloutPhase.BACK: "going back",
    RolloutPhase.UNDONE: "undone",
}


def may_scale(counts: Iterable[tuple[ServiceName, int]], services: Services) -> None:
    """See that these services exist and keep an instance. Raises ManifestError with the mend."""
    counts = tuple(counts)
    known((name for name, _ in counts), services)
    for name, count in counts:
        if count < 1:
            raise ManifestError(
                f"cannot scale {name} to {count}: a service has at least one instance",
                mend=f"weaver stop {name}",
            )


def unknown(name: str, services: Iterable[str]) -> NotFoundError:
    """Say that there is no such service."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(services), n=1)
    mend = f"did you mean {close[0]}?" if close else "weaver service list shows what there is"
    return NotFoundError(f"no service is called {name}", mend=mend)


def dependents(names: Iterable[ServiceName], services: Services) -> list[ServiceName]:
    """Give all that need these services, directly or through others, in dependency order."""
    found: set[ServiceName] = set()
    waiting = list(names)
    asked = set(waiting)
    while waiting:
        status = services.get(waiting.pop())
        fresh = set(status.needed_by) - found - asked if status else set()
        found |= fresh
        waiting += fresh
    return [name for name in services if name in found]


def is_running(status: ServiceStatus) -> bool:
    """Tell whether a service runs or is meant to."""
    return status.desired is DesiredState.RUNNING or status.state is not State.STOPPED


def may_stop(names: tuple[ServiceName, ...], services: Services) -> None:
    """Refuse to stop what running services need. Raises BlockedError naming them."""
    left = [name for name in dependents(names, services) if is_running(services[name])]
    if left:
        what, who = _list(names), _list(left)
        raise BlockedError(
            f"cannot stop {what}: {who} {_needs(left, names)} and {_runs(left)}",
            mend=f"--with-dependents stops {who} too, --only stops {what} alone",
        )


def may_remove(names: tuple[ServiceName, ...], services: Services) -> None:
    """Refuse to remove what other manifests need. Raises BlockedError naming them."""
    left = dependents(names, services)
    if left:
        what, who = _list(names), _list(left)
        raise BlockedError(
            f"cannot unregister {what}: {who} {_needs(left, names)}",
            mend=f"--cascade unregisters {who} too",
        )


def may_go(word: str, names: Iterable[ServiceName], services: Services) -> None:
    """Refuse to remove what is protected. Raises BlockedError with the mend."""
    for name in names:
        spec = services[name].spec
        if spec is not None and spec.protect:
            raise BlockedError(
                f"cannot {word} {name}: it is protected",
                mend=f"weaver set {name} protect=false lifts that, in a change of its own",
            )


def keeps_protection(
    word: str, names: Iterable[ServiceName], now: Definitions, draft: Definitions
) -> None:
    """Refuse to drop the line that protects a service: it would read as if that were lifted."""
    for name in names:
        before, after = now.get(name), draft.get(name)
        was = before is not None and before.spec.protect
        if was and after is not None and after.spec.protect is None:
            raise BlockedError(
                f"cannot {word} {name}: it is protected, and the new text does not say `protect`",
                mend="write `protect: true` to keep it so, or `protect: false` to lift it",
            )


def _list(names: Iterable[str]) -> str:
    """Name services as a sentence does.

    >>> _list(["a"]), _list(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _needs(names: list[ServiceName], needs: tuple[ServiceName, ...]) -> str:
    verb = "needs" if len(names) == 1 else "need"
    return f"{verb} {'it' if len(needs) == 1 else 'them'}"


def _runs(names: list[ServiceName]) -> str:
    return "runs" if len(names) == 1 else "run"
