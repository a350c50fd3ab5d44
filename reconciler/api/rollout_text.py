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
    is_stuck = rollout.failed and rollout.phase is RolloutPhase.PAUSED
    words = "failed, and is paused" if is_stuck else _PHASES[rollout.phase]
    name = paint(plain(service.name), Paint.BOLD, page)
    lines = [f"{name}  {paint(words, colour, page)}"]
    for label, text in _facts(service, rollout):
        gap = " " * (LABEL_WIDTH - len(label))
        first, *rest = wrap(plain(text), page, indent=" " * (LABEL_WIDTH + 2))
        lines += [f"  {label}{gap}{first.lstrip()}", *rest]
    return lines


def _facts(service: ServiceStatus, rollout: Rollout) -> Iterator[tuple[str, str]]:
    if rollout.because:
        yield "why", rollout.because
    is_restart = rollout.to.digest == rollout.base.digest
    what = "a restart" if is_restart else rollout.to.digest[:SHORT]
    yield "brings", what if is_restart else f"version {what} after {rollout.base.digest[:SHORT]}"
    done = len({*range(rollout.to.instances)}.intersection(rollout.proven))
    yield "done", f"{done} of {count(rollout.to.instances, 'instance')}"
    if rollout.rolled:
        yield "on it", ", ".join(f"{service.name}-{index}" for index in rollout.rolled)
    if rollout.surge:
        yield "helped by", f"{count(rollout.surge, 'instance')} more, until it is over"
    if service.quarantined:
        yield "kept away", ", ".join(digest[:SHORT] for digest in service.quarantined)
    mends = {
        RolloutPhase.ROLLING: f"weaver rollout pause|undo {service.name}",
        RolloutPhase.PAUSED: f"weaver rollout resume|undo {service.name}, or mend the manifest",
        RolloutPhase.BACK: f"weaver rollout pause|resume {service.name}",
        RolloutPhase.UNDONE: f"mend the manifest, or weaver rollout resume {service.name}",
    }
    yield "next", mends[rollout.phase]
