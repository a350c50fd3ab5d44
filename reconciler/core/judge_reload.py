"""The judge's rules of reloads."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core import judge_health
from reconciler.model.observed import Role, State
from reconciler.model.plan import Reload, Situation
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos


def against_reload(
    situation: Situation, action: Reload, record: SlotRecord, spec: ServiceSpec
) -> Iterator[str]:
    """Only a process that is ready for it, runs as wanted and is behind is reloaded, once."""
    process = record.process
    if process is None or process.id != action.target or process.exit is not None:
        yield "its target is not what runs there"
        return
    if spec.reload is None:
        yield "its manifest does not say how"
    if record.state not in (State.RUNNING, State.DEGRADED):
        yield f"it is {record.state}"
    if process.digest != spec.digest:
        yield "it is to be replaced"
    is_told = record.reloading is not None and record.reloading.until > situation.now
    if is_told or record.memory.occasion(Role.RELOAD) is not None:
        yield "it is being reloaded already"
    is_behind = _is_behind(situation, spec, record)
    if not (is_behind or judge_health.may_be_reloaded(spec, record)):
        yield "nothing asks for it"


def _is_behind(situation: Situation, spec: ServiceSpec, record: SlotRecord) -> bool:
    """Tell whether a process has not read its configuration as it is now."""
    memory = situation.services.get(spec.name)
    asked = (memory.reload_before if memory else None) or Nanos(0)
    since = record.process.started if record.process else Nanos(0)
    loaded = record.memory.loaded
    return max(since, record.memory.reloaded_at or Nanos(0)) < asked or any(
        loaded.get(path, text) != text for path, text in spec.loads.items()
    )
