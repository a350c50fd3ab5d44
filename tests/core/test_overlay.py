"""What is wanted for a while lies above the manifests, and leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.graph import knotted
from reconciler.core.overlay import beneath, desire, overlays_of, says_the_same
from reconciler.core.settle import settle
from reconciler.model.desired import ManifestSet
from reconciler.model.overlay import Overlay
from reconciler.model.record import ServiceMemory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName, WallTime, minutes
from tests.core.building import manifests, name, place, service
from tests.core.strategies import NAMES, manifest_sets

NOW = Nanos(minutes(1))
LATER = Nanos(minutes(2))
EDITIONS = st.dictionaries(st.sampled_from(NAMES).map(ServiceName), st.integers(0, 3))


def over(spec: ServiceSpec, under: ServiceSpec | None, ends_at: Nanos = LATER) -> Overlay:
    return Overlay(
        spec=spec, under=under, ends_at=ends_at, ends=WallTime(ends_at), lasts=minutes(1)
    )


def owning(*specs: ServiceSpec) -> dict[ServiceName, ServiceMemory]:
    return {spec.name: ServiceMemory(spec=spec, source=place(spec)) for spec in specs}


WEB, OTHER = service("web"), service("web", edition=2)
NEW = service("probe")
BOTH = manifests(WEB, service("db"))


@pytest.mark.parametrize(
    ("read", "overlay", "why"),
    [
        (BOTH, over(OTHER, WEB), None),
        (BOTH, over(NEW, None), None),
        (manifests(WEB), over(OTHER, WEB), None),
        (manifests(invalid=["web"]), over(OTHER, WEB), None),
        (manifests(broken=["web"]), over(OTHER, WEB), None),
        (manifests(replace(WEB, loads={"a": "1"})), over(OTHER, WEB), None),
        (BOTH, over(OTHER, WEB, NOW), "its time is over"),
        (manifests(service("web", edition=3)), over(OTHER, WEB), "its manifest was changed"),
        (manifests(OTHER), over(OTHER, WEB), "its manifest was changed"),
        (manifests(service("db")), over(OTHER, WEB), "its manifest was removed"),
        (manifests(NEW), over(NEW, None), "a manifest defines it now"),
        (manifests(WEB), over(service("web", "db"), WEB), "it needs db, which is gone"),
        (
            manifests(WEB, service("db", "web")),
            over(service("web", "db"), WEB),
            "it would need itself through others now",
        ),
    ],
)
def test_a_version_for_a_while_lasts_until(
    read: ManifestSet, overlay: Overlay, why: str | None
) -> None:
    desired, ended = desire(read, owning(overlay.spec), {overlay.name: overlay}, NOW)
    assert ended == ({} if why is None else {overlay.name: why})
    wanted = desired.services.get(overlay.name)
    if why is None:
        assert wanted is not None
        assert wanted.overlay == overlay
        assert wanted.spec is not None
        assert wanted.spec.digest == overlay.spec.digest
    elif wanted is not None:
        assert wanted.overlay is None
        assert wanted.spec == read.definitions[overlay.name].spec


def test_what_ends_beside_a_broken_file_returns_to_the_last_good_version() -> None:
    overlay = over(OTHER, WEB, NOW)
    desired, _ = desire(manifests(broken=["web"]), owning(OTHER), {name("web"): overlay}, NOW)
    assert desired.services[name("web")].spec == WEB
    assert desired.services[name("web")].invalid


def test_a_port_that_was_picked_meanwhile_is_no_other_word() -> None:
    assert not says_the_same(WEB, OTHER)
    assert not says_the_same(WEB, None)
    assert says_the_same(None, None)
    assert says_the_same(replace(WEB, protect=True), WEB)


@given(
    manifest_sets(),
    st.dictionaries(st.sampled_from(NAMES).map(ServiceName), st.integers(0, 3)),
    st.integers(0, 2),
)
def test_it_fits_or_ends_and_nothing_is_left_when_it_has_ended(
    specs: tuple[ServiceSpec, ...], editions: dict[ServiceName, int], past: int
) -> None:
    read = manifests(*specs)
    base = settle(read, {})
    laid = {}
    for one, edition in editions.items():
        below = base.services.get(one)
        spec = service(one, *sorted(editions)[:edition], edition=9)
        ends_at = NOW if edition == past else LATER
        laid[one] = over(spec, below.spec if below else None, ends_at)
    owned = owning(*(overlay.spec for overlay in laid.values()))
    desired, ended = desire(read, owned, laid, NOW)
    above = overlays_of(desired)
    assert above.keys() == laid.keys() - ended.keys()
    for overlay in above.values():
        assert overlay.ends_at > NOW
        assert all(need.service in desired.services for need in overlay.spec.needs)
    needs = {
        one: [need.service for need in wanted.spec.needs] if wanted.spec else []
        for one, wanted in desired.services.items()
    }
    assert not knotted(needs).intersection(above)
    gone, _ = desire(read, owned, laid, LATER)
    assert gone == settle(read, beneath(owned, laid))
