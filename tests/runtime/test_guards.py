"""What others need is not taken away unasked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.status import ServiceStatus
from reconciler.model.units import ServiceName
from reconciler.ports import BlockedError, ManifestError, NotFoundError
from reconciler.runtime import guards, intents
from reconciler.runtime.requests import Assignment
from tests.runtime.pictures import running, stopped


def services(**needed_by: str) -> dict[ServiceName, ServiceStatus]:
    """Give running services, each with the names of those that need it."""
    return {
        ServiceName(name): replace(
            running(name), needed_by=tuple(ServiceName(one) for one in others.split())
        )
        for name, others in needed_by.items()
    }


CHAIN = services(db="api", api="web", web="", lone="")
DB, API, WEB = ServiceName("db"), ServiceName("api"), ServiceName("web")


def test_dependents_are_all_of_them_in_dependency_order() -> None:
    assert guards.dependents([DB], CHAIN) == [API, WEB]
    assert guards.dependents([DB, API], CHAIN) == [WEB]
    assert guards.dependents([WEB], CHAIN) == []


def test_stopping_a_need_names_who_needs_it_and_both_ways_out() -> None:
    with pytest.raises(BlockedError, match="cannot stop db: api and web need it and run") as why:
        guards.may_stop((DB,), CHAIN)
    assert why.value.mend == "--with-dependents stops api and web too, --only stops db alone"


def test_dependents_that_are_stopped_are_in_nobody_s_way() -> None:
    quiet = {**CHAIN, API: replace(stopped("api"), needed_by=(WEB,)), WEB: stopped("web")}
    guards.may_stop((DB,), quiet)
    with pytest.raises(BlockedError, match="cannot unregister db: api and web need it"):
        guards.may_remove((DB,), quiet)


def test_what_only_waits_for_its_removal_is_not_changed() -> None:
    reason = "removed from the manifests, but it is protected; to agree: weaver prune approve 1"
    held = {**CHAIN, WEB: replace(running("web"), reason_code="PruneHeld", reason=reason)}
    guards.is_still_defined("set", [DB, API], held)
    with pytest.raises(BlockedError, match=f"cannot set web: {reason}"):
        guards.is_still_defined("set", [DB, WEB], held)


def test_several_needs_are_them() -> None:
    found = services(db="web", cache="web", web="")
    with pytest.raises(BlockedError, match="cannot stop db and cache: web needs them and runs"):
        guards.may_stop((DB, ServiceName("cache")), found)


def test_stopping_all_together_is_fine() -> None:
    guards.may_stop((DB, API, WEB), CHAIN)


def test_of_a_manifest_that_never_was_valid_nothing_is_restarted_or_reloaded() -> None:
    fault = Diagnostic(source=Source(file="f.yaml", line=2), code="W1", message="it is bad")
    broken = {WEB: replace(stopped("web"), spec=None, desired=None, invalid=(fault,))}
    with pytest.raises(ManifestError, match="cannot restart web: its manifest is invalid") as why:
        guards.understood("restart", (WEB,), broken)
    assert why.value.diagnostics == (fault,)
    with pytest.raises(ManifestError, match="cannot reload web"):
        guards.may_reload((WEB,), broken)


def test_what_has_a_last_good_version_is_restarted_with_that() -> None:
    fault = Diagnostic(source=Source(file="f.yaml"), code="W1", message="it is bad")
    guards.understood("restart", (WEB,), {WEB: replace(running("web"), invalid=(fault,))})


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="no service is called wed") as why:
        guards.known((ServiceName("wed"),), CHAIN)
    assert why.value.mend == "did you mean web?"


@pytest.mark.parametrize("path", ["", ".", "env.", ".env", "env..A", 'labels."x', 'labels."x"y'])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ManifestError, match="it is no path of keys"):
        intents.keys(path)


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("state", ("state",)),
        ("dependsOn.'my.db'.condition", ("dependsOn", "my.db", "condition")),
        ('labels."a.b"', ("labels", "a.b")),
    ],
)
def test_a_path_is_split_at_its_dots_but_for_quoted_ones(path: str, keys: tuple[str, ...]) -> None:
    assert intents.keys(path) == keys


@pytest.mark.parametrize("name", ["DB_PASSWORD", "api_token", "SECRET_BASE", "SSH_KEY"])
def test_a_secret_s_value_stays_out_of_the_subject(name: str) -> None:
    told = intents.told([Assignment(path=f"env.{name}", value="hunter2")])
    assert told == f"set env.{name}"


def test_a_subject_has_one_line_and_at_most_72_characters() -> None:
    text = intents.subject([WEB], "set command=" + "very long\n" * 20)
    assert len(text) == 72
    assert "\n" not in text
    assert intents.subject([ServiceName(f"s{n}") for n in range(9)], "stop") == "9 services: stop"
