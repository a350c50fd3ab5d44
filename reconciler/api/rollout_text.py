"""Show people how far new versions have come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.api.human import count, plain
from reconciler.api.page import Page, Paint, paint, wrap
from reconciler.model.record import Rollout, RolloutPhase
from reconciler.model.status import ServiceStatus

LABEL_WIDTH = 12
SHORT = 8
NONE = "no rollout is under way\n"
_PHASES = {
    RolloutPhase.ROLLING: "rolling",
    RolloutPhase.PAUSED: "paused",
    RolloutPhase.BACK: "going back to the version before",
    RolloutPhase.UNDONE: "the version before runs",
}


def rollout_text(services: Sequence[ServiceStatus], page: Page) -> str:
    """Give what is known of the rollouts of these services."""
    blocks = [_block(service, service.rollout, page) for service in services if service.rollout]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n" if blocks else NONE


def _block(service: ServiceStatus, rollout: Rollout, page: Page) -> list[str]:
    colour = Paint.BAD if rollout.failed else Paint.BUSY
    name = paint(plain(service.name), Paint.BOLD, page)
    lines = [f"{name}  {paint(_phase(rollout), colour, page)}"]
    for label, text in _facts(service, rollout):
        gap = " " * (LABEL_WIDTH - len(label))
        first, *rest = wrap(plain(text), page, indent=" " * (LABEL_WIDTH + 2))
        lines += [f"  {label}{gap}{first.lstrip()}", *rest]
    return lines


def summary(service: ServiceStatus) -> Iterator[tuple[str, str]]:
    """Give what the page of a service says of its rollout, each fact with its label."""
    if service.rollout is not None:
        told = (_phase(service.rollout), _what(service.rollout), _progress(service.rollout))
        yield "rollout", "; ".join(told)
    if service.quarantined:
        yield "kept away", _kept_away(service)


def _phase(rollout: Rollout) -> str:
    is_stuck = rollout.failed and rollout.phase is RolloutPhase.PAUSED
    return "failed, and is paused" if is_stuck else _PHASES[rollout.phase]


def _what(rollout: Rollout) -> str:
    if rollout.to.digest == rollout.base.digest:
        return "a restart"
    return f"version {rollout.to.digest[:SHORT]} after {rollout.base.digest[:SHORT]}"


def _progress(rollout: Rollout) -> str:
    done = len({*range(rollout.to.instances)}.intersection(rollout.proven))
    return f"{done} of {count(rollout.to.instances, 'instance')}"


def _kept_away(service: ServiceStatus) -> str:
    return ", ".join(digest[:SHORT] for digest in service.quarantined)


def _facts(service: ServiceStatus, rollout: Rollout) -> Iterator[tuple[str, str]]:
    if rollout.because:
        yield "why", rollout.because
    yield "brings", _what(rollout)
    yield "done", _progress(rollout)
    if rollout.rolled:
        yield "on it", ", ".join(f"{service.name}-{index}" for index in rollout.rolled)
    if rollout.surge:
        yield "helped by", f"{count(rollout.surge, 'instance')} more, until it is over"
    if service.quarantined:
        yield "kept away", _kept_away(service)
    mends = {
        RolloutPhase.ROLLING: f"weaver rollout pause|undo {service.name}",
        RolloutPhase.PAUSED: f"weaver rollout resume|undo {service.name}, or mend the manifest",
        RolloutPhase.BACK: f"weaver rollout pause|resume {service.name}",
        RolloutPhase.UNDONE: f"mend the manifest, or weaver rollout resume {service.name}",
    }
    yield "next", mends[rollout.phase]
