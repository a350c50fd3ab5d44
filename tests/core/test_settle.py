"""Invalid is not deleted: what is broken keeps its last good version."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.graph import knotted
from reconciler.core.settle import settle
from reconciler.model.desired import ManifestSet
from reconciler.model.record import ServiceMemory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from tests.core.building import fault, manifests, name, place, service
from tests.core.strategies import NAMES, manifest_sets


def owning(*specs: ServiceSpec, file: str = "") -> dict[ServiceName, ServiceMemory]:
    """Give what is in force, each service from a file of its own or all from one."""
    return {spec.name: ServiceMemory(spec=spec, source=place(file or spec.name)) for spec in specs}


def test_what_is_valid_is_wanted_as_read() -> None:
    desired = settle(manifests(service("web", edition=2)), owning(service("web")))
    assert desired.services[name("web")].spec == service("web", edition=2)
    assert desired.services[name("web")].invalid == ()


def test_what_no_readable_file_defines_is_wanted_no_more() -> None:
    assert settle(manifests(service("db")), owning(service("web"))).services.keys() == {"db"}


def test_a_service_that_is_defined_wrongly_keeps_its_last_good_version_and_place() -> None:
    desired = settle(manifests(invalid=["web"]), owning(service("web")))
    web = desired.services[name("web")]
    assert (web.spec, web.source) == (service("web"), place("web"))
    assert web.invalid == (fault("web"),)


def test_a_file_that_cannot_be_read_freezes_all_it_last_defined() -> None:
    owned = owning(service("web"), service("api"), file="all")
    desired = settle(manifests(service("db"), broken=["all"]), owned | owning(service("other")))
    assert desired.services.keys() == {"api", "db", "web"}
    assert desired.services[name("api")].invalid == (fault("all"),)


def test_of_a_file_with_several_documents_only_the_broken_one_freezes() -> None:
    owned = owning(service("web"), service("api"), file="all")
    read = manifests(service("web", edition=2), invalid=["api"])
    desired = settle(read, owned)
    assert desired.services[name("web")].spec == service("web", edition=2)
    assert desired.services[name("api")].spec == service("api")


def test_a_service_that_moved_out_of_a_broken_file_is_not_frozen() -> None:
    desired = settle(
        manifests(service("web", edition=2), broken=["all"]), owning(service("web"), file="all")
    )
    assert desired.services[name("web")].spec == service("web", edition=2)


def test_what_never_had_a_good_version_is_known_by_its_fault() -> None:
    web = settle(manifests(invalid=["web"]), {}).services[name("web")]
    assert (web.spec, web.source) == (None, fault("web").source)


def test_an_unchanged_spec_stays_the_very_object_that_is_in_force() -> None:
    owned = owning(service("web"))
    desired = settle(manifests(replace(service("web"))), owned)
    assert desired.services[name("web")].spec is owned[name("web")].spec


def test_a_cycle_through_frozen_services_freezes_the_newcomers() -> None:
    owned = owning(service("a", "b"), service("b"), service("c"))
    read = manifests(service("b", "c", edition=2), service("c", "a", edition=2), invalid=["a"])
    desired = settle(read, owned)
    assert {key: one.spec for key, one in desired.services.items()} == {
        key: memory.spec for key, memory in owned.items()
    }
    codes = {key: [one.code for one in wanted.invalid] for key, wanted in desired.services.items()}
    assert codes == {"a": ["W201"], "b": ["W303"], "c": ["W303"]}
    told = [one.message for one in desired.diagnostics if one.code == "W303"]
    assert told == ["services need each other: b -> c -> a -> b"]
    (known,) = desired.services[name("c")].invalid
    assert known.message == "services need each other: c -> a -> b -> c"


def test_who_only_needs_a_cycle_is_not_frozen_with_it() -> None:
    owned = owning(service("a", "b"), service("b"))
    read = manifests(service("b", "a", edition=2), service("z", "b"), invalid=["a"])
    assert settle(read, owned).services[name("z")].invalid == ()


@given(manifest_sets(), manifest_sets(), st.sets(st.sampled_from(NAMES), max_size=3))
def test_whatever_is_broken_nothing_else_is_touched_and_no_cycle_is_wanted(
    found: tuple[ServiceSpec, ...], before: tuple[ServiceSpec, ...], bad: set[str]
) -> None:
    owned = owning(*before)
    # Needs that point the other way round would close a cycle with what is frozen.
    turned = tuple(spec if spec.name in bad else turn(spec) for spec in found)
    good = [spec for spec in turned if spec.name not in bad]
    desired = settle(manifests(*good, invalid=sorted(bad)), owned)
    assert desired.services.keys() == {spec.name for spec in good} | {name(one) for one in bad}
    for key, wanted in desired.services.items():
        if wanted.invalid:
            assert wanted.spec == (owned[key].spec if key in owned else None)
    needs = {
        key: [one.service for one in wanted.spec.needs] if wanted.spec else []
        for key, wanted in desired.services.items()
    }
    assert knotted(needs) == set()


def turn(spec: ServiceSpec) -> ServiceSpec:
    """Let a service need what comes after it in the alphabet, rather than before."""
    mirrored = dict(zip(NAMES, reversed(NAMES), strict=True))
    needs = tuple(
        replace(need, service=name(mirrored[need.service]))
        for need in spec.needs
        if mirrored[need.service] > spec.name
    )
    return replace(spec, needs=needs)


def test_an_empty_set_wants_nothing() -> None:
    assert settle(ManifestSet(), owning(service("web"))).services == {}
