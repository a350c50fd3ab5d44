"""What a diff says: which fields differ, and what would be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given

from reconciler.core.diff import Comparison, Language, compare, compare_plan, supposed
from reconciler.core.planner import plan
from reconciler.core.settle import settle
from reconciler.model.change import Effect, Verb
from reconciler.model.desired import Desired
from reconciler.model.plan import HoldCode
from reconciler.model.spec import ServiceSpec
from tests.core.building import STOPPED, follows, manifests, name, oneshot, service
from tests.core.situations import converged
from tests.core.strategies import manifest_sets

EFFECTS = {
    "digest": Effect.RESTART,
    "description": Effect.METADATA,
    "stopTimeout": Effect.LIVE,
    "instances": Effect.STRUCTURAL,
    "state": Effect.STATE,
}


def flat(spec: ServiceSpec) -> Mapping[str, str]:
    """Flatten a spec; `digest` stands for all that reaches the process."""
    return {
        "digest": spec.digest,
        "instances": str(spec.instances),
        "state": str(spec.state),
        "stopTimeout": str(spec.stop_timeout),
        **({"description": spec.description} if spec.description else {}),
    }


LANGUAGE = Language(describe=flat, effect_of=lambda path: EFFECTS[path])


def wanting(*specs: ServiceSpec, invalid: tuple[str, ...] = ()) -> Desired:
    return settle(manifests(*specs, invalid=invalid), {})


def compared(base: Desired, head: Desired) -> dict[str, tuple[str, ...]]:
    """Give what is done to each service that the diff names."""
    changes = compare(base, head, LANGUAGE).changes
    return {str(one.service): tuple(map(str, one.verbs)) for one in changes}


@given(manifest_sets())
def test_nothing_differs_from_itself(specs: tuple[ServiceSpec, ...]) -> None:
    found = compare(wanting(*specs), wanting(*specs), LANGUAGE)
    assert found == Comparison(changes=(), holds=(), unchanged=len(specs))


@pytest.mark.parametrize(
    ("before", "after", "verbs"),
    [
        ([], [service("web")], ("start",)),
        ([service("web"), service("db")], [service("db")], ("stop",)),
        ([service("web")], [service("web", edition=2)], ("restart",)),
        ([service("web")], [service("web", description="new")], ("update",)),
        ([service("web")], [service("web", stop_timeout=1)], ("update",)),
        ([service("web")], [service("web", instances=3)], ("start",)),
        ([service("web", instances=3)], [service("web")], ("stop",)),
        ([service("web")], [service("web", state=STOPPED)], ("stop",)),
        ([service("web", state=STOPPED)], [service("web")], ("start",)),
        ([service("web", state=STOPPED)], [service("web", state=STOPPED, edition=2)], ("update",)),
        ([], [service("web", state=STOPPED)], ("none",)),
        ([oneshot("web")], [oneshot("web", edition=2)], ("start",)),
        (
            [service("web", instances=2)],
            [service("web", instances=3, edition=2)],
            ("restart", "start"),
        ),
    ],
)
def test_what_is_done_about_a_change(
    before: list[ServiceSpec], after: list[ServiceSpec], verbs: tuple[str, ...]
) -> None:
    assert compared(wanting(*before), wanting(*after)).get("web", ("none",)) == verbs


def test_fields_are_named_with_their_effect_and_give_the_reason() -> None:
    new = service("web", edition=2, description="new")
    (change,) = compare(wanting(service("web")), wanting(new), LANGUAGE).changes
    assert [(one.path, one.before, one.after, one.effect) for one in change.fields] == [
        ("description", None, "new", Effect.METADATA),
        ("digest", "web@1", "web@2", Effect.RESTART),
    ]
    assert (change.reason, change.order) == ("digest changed", 1)


def test_a_change_that_only_shows_says_which_field() -> None:
    new = service("web", description="new")
    (change,) = compare(wanting(service("web")), wanting(new), LANGUAGE).changes
    assert change.reason == "description changed"


def test_a_cause_elsewhere_counts_more_than_a_field_that_is_only_shown() -> None:
    base = wanting(service("web", follows("db")), service("db"))
    head = wanting(service("web", follows("db"), description="new"), service("db", edition=2))
    web = compare(base, head, LANGUAGE).changes[1]
    assert web.reason == "needs db, which restarts (onRestart: restart)"
    assert [one.path for one in web.fields] == ["description"]


def test_of_many_fields_only_the_first_are_named() -> None:
    flat_many = Language(
        describe=lambda spec: {f"env.{key}": spec.digest for key in "ABCDE"},
        effect_of=lambda _: Effect.RESTART,
    )
    found = compare(wanting(service("web")), wanting(service("web", edition=2)), flat_many)
    assert found.changes[0].reason == "env.A, env.B, env.C changed and 2 more"


def test_a_service_that_follows_its_need_is_named_with_the_reason() -> None:
    web, db = service("web", follows("db")), service("db")
    found = compare(wanting(web, db), wanting(web, replace(db, digest="x")), LANGUAGE)  # type: ignore[arg-type]  # a digest
    assert [(one.service, one.verbs, one.reason) for one in found.changes] == [
        ("db", (Verb.RESTART,), "digest changed"),
        ("web", (Verb.RESTART,), "needs db, which restarts (onRestart: restart)"),
    ]


def test_actions_are_numbered_in_the_order_in_which_they_begin() -> None:
    base = wanting(service("old"), service("db"), service("web", "db"))
    head = wanting(service("db", edition=2), service("web", "db"), service("new", "db"))
    found = compare(base, head, LANGUAGE)
    assert [(one.order, str(one.service)) for one in found.changes] == [
        (1, "old"),
        (2, "db"),
        (3, "new"),
    ]
    assert found.unchanged == 1


def test_renaming_a_service_is_one_stop_and_one_start() -> None:
    found = compared(wanting(service("web")), wanting(service("site")))
    assert found == {"web": ("stop",), "site": ("start",)}


def test_a_removal_that_would_be_held_says_so() -> None:
    base = wanting(*(service(f"s{index}") for index in range(6)))
    found = compare(base, wanting(service("s0")), LANGUAGE)
    assert {one.verbs for one in found.changes} == {(Verb.NONE,)}
    assert all("5 of 6 services would be removed" in (one.held_by or "") for one in found.changes)
    assert {hold.code for hold in found.holds} == {HoldCode.PRUNE_HELD}


def test_an_invalid_manifest_does_nothing_to_its_service() -> None:
    base = wanting(service("web"))
    head = settle(manifests(invalid=["web"]), supposed(base, base).services)
    found = compare(base, head, LANGUAGE)
    assert found.changes == ()
    assert [hold.code for hold in found.holds] == [HoldCode.INVALID_MANIFEST]


def test_a_change_that_has_to_wait_is_held() -> None:
    base = wanting(service("web"), service("db", state=STOPPED))
    head = wanting(service("web", "db", edition=2), service("db", state=STOPPED))
    (change,) = compare(base, head, LANGUAGE).changes
    assert change.verbs == (Verb.UPDATE,)
    assert change.held_by is not None
    assert "waiting for db to be ready (its manifest says stopped)" in change.held_by


def test_a_live_plan_is_put_into_the_same_words() -> None:
    live = replace(converged(service("web")), desired=wanting(service("web", edition=2)))
    in_force = {name("web"): service("web")}
    found = compare_plan(live, plan(live), LANGUAGE, in_force)
    assert found == compare(wanting(service("web")), wanting(service("web", edition=2)), LANGUAGE)
