"""Lay what is wanted for a while above what the manifests say, and tell when that is over.

The manifests are settled as if nothing lay above them. A version above them lasts until its time
is over, until they say something else of its service than when it began, or until it does not fit
any more what the others have become.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from reconciler.core.graph import knotted
from reconciler.core.settle import Owned, settle
from reconciler.model.desired import Desired, ManifestSet, Wanted
from reconciler.model.diagnostic import Source
from reconciler.model.overlay import Overlay
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName

Overlays = Mapping[ServiceName, Overlay]
"""In the order in which they began."""
NOTHING: Mapping[ServiceName, str] = MappingProxyType({})


def desire(
    manifests: ManifestSet,
    owned: Owned,
    overlays: Overlays,
    now: Nanos,
    ended: Mapping[ServiceName, str] = NOTHING,
) -> tuple[Desired, dict[ServiceName, str]]:
    """Give the desired state, and the overlays that are over, each with the reason.

    `ended` are those that somebody ends now, with what is to be said of it.
    """
    if not overlays:
        return settle(manifests, owned), {}
    base = settle(manifests, beneath(owned, overlays))
    over = {
        name: why
        for name, one in overlays.items()
        if (why := ended.get(name) or _why_over(one, base.services.get(name), now))
    }
    stay = [one for name, one in overlays.items() if name not in over]
    laid = _laid(base, stay)
    while misfit := _misfit(laid, stay):
        one, over[one.name] = misfit
        stay.remove(one)
        laid = _laid(base, stay)
    return laid, over


def beneath(owned: Owned, overlays: Overlays) -> Owned:
    """Give what we own as it would be if nothing had ever lain above the manifests."""
    if not overlays:
        return owned
    found = dict(owned)
    for name, one in overlays.items():
        memory = found.pop(name, None)
        if memory is not None and one.under is not None:
            # Whether it is protected may have been said meanwhile, and unsaid.
            under = replace(one.under, protect=memory.spec.protect)
            found[name] = replace(memory, spec=under)
    return found


def overlays_of(desired: Desired) -> dict[ServiceName, Overlay]:
    """Give what lies above the manifests of a desired state."""
    found = [wanted.overlay for wanted in desired.services.values() if wanted.overlay is not None]
    return {one.name: one for one in found}


def says_the_same(now: ServiceSpec | None, then: ServiceSpec | None) -> bool:
    """Tell whether manifests say of a service what they said before.

    That a file which it loads has another content, or that a port was picked, is no other word.
    """
    if now is None or then is None:
        return now is then
    port = now.port if now.awaits_port or then.awaits_port else then.port
    return now == then or now == replace(then, loads=now.loads, protect=now.protect, port=port)


def _why_over(one: Overlay, wanted: Wanted | None, now: Nanos) -> str:
    """Say why an overlay is over; empty while it is not."""
    if one.ends_at <= now:
        return "its time is over"
    if wanted is None:
        return "its manifest was removed" if one.under is not None else ""
    if wanted.invalid or says_the_same(wanted.spec, one.under):
        return ""
    return "a manifest defines it now" if one.under is None else "its manifest was changed"


def _laid(base: Desired, overlays: Iterable[Overlay]) -> Desired:
    services = dict(base.services)
    for one in overlays:
        wanted = services.get(one.name)
        if wanted is None:
            services[one.name] = Wanted(spec=one.spec, source=Source(file=""), overlay=one)
        elif not wanted.left_out:
            spec = _fitted(one.spec, wanted.spec)
            services[one.name] = Wanted(spec=spec, source=wanted.source, overlay=one)
    return replace(base, services={name: services[name] for name in sorted(services)})


def _fitted(spec: ServiceSpec, below: ServiceSpec | None) -> ServiceSpec:
    """Give a version as it lies above another: what it loads and its protection are no while's."""
    if below is None:
        return spec
    if spec.loads.keys() == below.loads.keys() and spec.loads != below.loads:
        spec = replace(spec, loads=below.loads)
    return spec if spec.protect == below.protect else replace(spec, protect=below.protect)


def _misfit(laid: Desired, overlays: Sequence[Overlay]) -> tuple[Overlay, str] | None:
    """Give an overlay that needs what is not there, or the newest that closes a cycle."""
    there = laid.services
    for one in overlays:
        for need in one.spec.needs:
            if need.required and need.service not in there:
                return one, f"it needs {need.service}, which is gone"
    needs = {
        name: [need.service for need in wanted.spec.needs] if wanted.spec else []
        for name, wanted in there.items()
    }
    members = knotted(needs) if overlays else set()
    for one in reversed(overlays):
        if one.name in members:
            return one, "it would need itself through others now"
    return None
