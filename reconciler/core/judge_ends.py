"""State a second time which ends of processes are good ones."""

from __future__ import annotations

from reconciler.model.observed import Exit
from reconciler.model.spec import RestartPolicy, ServiceSpec

_ASKED_TO_END = ("SIGHUP", "SIGINT", "SIGPIPE", "SIGTERM")


def is_good_end(spec: ServiceSpec, end: Exit | None) -> bool:
    """Tell whether an end needs no other try, by today's policy."""
    if end is None or spec.restart is RestartPolicy.NEVER:
        return True
    if end.code is not None:
        return end.code == 0 or end.code in spec.success_exit_codes
    is_asked = end.signal in _ASKED_TO_END and not spec.is_oneshot
    return is_asked or (end.signal or "") in spec.success_exit_codes
