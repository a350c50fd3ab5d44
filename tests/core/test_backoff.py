"""How long to wait after a failure, when to give up, and what counts as a failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.backoff import after_failure, delay, end_in_words, ended_well, wants_restart
from reconciler.model.observed import Exit
from reconciler.model.record import Trouble
from reconciler.model.spec import Backoff, RestartPolicy, ServiceSpec
from reconciler.model.units import Nanos, in_seconds, minutes, seconds
from tests.core.building import oneshot, service, slot

NOW = seconds(1000)
NONE = Nanos(0)


def after(spec: ServiceSpec, trouble: Trouble, *, up: Nanos = NONE, seed: int = 0) -> Trouble:
    return after_failure(
        trouble, spec, slot(spec.name), because="it died", uptime=up, now=NOW, seed=seed
    )


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        (Backoff(), [1, 2, 4, 8, 16, 32, 60, 60]),
        (Backoff(initial=seconds(0.5), max=seconds(3), factor=1.5), [0.5, 0.75, 1.125]),
        (Backoff(factor=1.0), [1, 1, 1]),
        (Backoff(initial=NONE), [0, 0, 0]),
        (Backoff(initial=seconds(90)), [60, 60]),
    ],
)
def test_the_wait_grows_up_to_its_limit(backoff: Backoff, waits: list[float]) -> None:
    counts = range(1, len(waits) + 1)
    assert [in_seconds(delay(backoff, count, 0.0)) for count in counts] == waits


@given(
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
    st.floats(1, 100),
    st.integers(0, 10**12),
)
def test_the_wait_stays_between_its_limits(
    failures: int, luck: float, factor: float, jitter: int
) -> None:
    backoff = Backoff(factor=factor, jitter=Nanos(jitter))
    wait = delay(backoff, failures, luck)
    assert backoff.initial <= wait <= backoff.max + jitter
    assert delay(backoff, failures + 1, luck) >= wait


@pytest.mark.parametrize(
    ("limit", "failures", "gives_up"),
    [(10, 9, False), (10, 10, True), (0, 0, True), (1, 0, False), (None, 10**6, False)],
)
def test_it_gives_up_after_so_many_restarts(
    limit: int | None, failures: int, *, gives_up: bool
) -> None:
    found = after(service("web", max_restarts=limit), Trouble(failures=failures))
    assert found.gave_up == gives_up
    assert (found.retry_at is None) == gives_up
    assert (found.failures, found.because) == (failures + 1, "it died")


def test_a_good_spell_begins_the_count_anew() -> None:
    spec = service("web")
    assert after(spec, Trouble(failures=7), up=minutes(5)).failures == 1
    assert after(spec, Trouble(failures=7), up=Nanos(minutes(5) - 1)).failures == 8


def test_what_is_never_restarted_gives_up_at_once() -> None:
    assert after(service("web", restart=RestartPolicy.NEVER), Trouble()).gave_up


def test_the_same_seed_has_the_same_luck_and_slots_have_their_own() -> None:
    spec = replace(service("web"), backoff=Backoff())
    assert after(spec, Trouble(), seed=1) == after(spec, Trouble(), seed=1)
    assert after(spec, Trouble(), seed=1) != after(spec, Trouble(), seed=2)
    other = replace(spec, name=service("api").name)
    assert after(spec, Trouble()).retry_at != after(other, Trouble()).retry_at


@pytest.mark.parametrize(
    ("spec", "end", "is_well"),
    [
        (service("web"), Exit(at=NOW, code=0), True),
        (service("web"), Exit(at=NOW, code=1), False),
        (service("web", success_exit_codes=(3,)), Exit(at=NOW, code=3), True),
        (service("web"), Exit(at=NOW, signal="SIGTERM"), True),
        (service("web"), Exit(at=NOW, signal="SIGHUP"), True),
        (service("web"), Exit(at=NOW, signal="SIGKILL"), False),
        (service("web"), Exit(at=NOW, signal="SIGSEGV", core=True), False),
        (service("web"), Exit(at=NOW, unknown=True), False),
        (oneshot("job"), Exit(at=NOW, code=0), True),
        (oneshot("job"), Exit(at=NOW, signal="SIGTERM"), False),
    ],
)
def test_what_ends_well(spec: ServiceSpec, end: Exit, *, is_well: bool) -> None:
    assert ended_well(spec, end) == is_well


@pytest.mark.parametrize(
    ("policy", "after_well", "after_failure"),
    [
        (RestartPolicy.ALWAYS, True, True),
        (RestartPolicy.ON_FAILURE, False, True),
        (RestartPolicy.NEVER, False, False),
    ],
)
def test_what_is_restarted(policy: RestartPolicy, *, after_well: bool, after_failure: bool) -> None:
    spec = service("web", restart=policy)
    assert wants_restart(spec, well=True) == after_well
    assert wants_restart(spec, well=False) == after_failure
    assert not wants_restart(oneshot("job", restart=policy), well=True)


def test_a_good_end_is_put_into_words() -> None:
    assert end_in_words(oneshot("job"), Exit(at=NOW, code=0)) == "completed (0)"
    ended = end_in_words(service("web", restart=RestartPolicy.NEVER), Exit(at=NOW, signal="SIGHUP"))
    assert ended == "ended well (SIGHUP), restart is never"
