"""How far a service has come along the history of its manifests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.pointers import Pointers, pointers
from reconciler.model.diagnostic import Source
from reconciler.model.observed import State
from reconciler.model.spec import DesiredState
from reconciler.model.status import Health, ServiceStatus, Sync
from reconciler.model.stored import TransitionRecord
from reconciler.model.units import Digest
from tests.core.building import fault, name, service

HEAD = "c9"


def record(text: str) -> TransitionRecord:
    """Read `d1 c1 running`: a version, the revision of that time, the new state."""
    digest, revision, after = text.split()
    return TransitionRecord(
        time=0.0,
        service="web",
        instance="web-0",
        before="",
        after=after,
        reason="",
        actor="",
        revision=revision,
        digest=digest,
    )


def story(text: str) -> list[TransitionRecord]:
    """Read changes in their order; the record gives the newest first."""
    return [record(line) for line in reversed(text.split(",")) if line]


CASES = {
    "follows the head, untouched by the last commits": (
        "d1 c1 starting, d1 c1 running", "d1", Sync.SYNCED, Health.HEALTHY, "c9 c9 c9",
    ),
    "is stopped, as is wanted": ("d1 c1 running", "d2", Sync.SYNCED, Health.STOPPED, "c9 c9 c9"),
    "starts its new version": (
        "d1 c1 starting, d1 c1 running, d2 c9 starting",
        "d2", Sync.SYNCED, Health.PROGRESSING, "c9 c9 c1",
    ),
    "was well with the head's version, at an earlier head": (
        "d1 c1 running, d2 c5 running, d2 c6 crashed, d2 c6 starting",
        "d2", Sync.SYNCED, Health.DEGRADED, "c9 c9 c5",
    ),
    "was never well": (
        "d1 c9 starting, d1 c9 crashed", "d1", Sync.SYNCED, Health.MISSING, "c9 c9 -",
    ),
    "waits for another before it takes the new one over": (
        "d1 c1 starting, d1 c1 running", "d2", Sync.OUT_OF_SYNC, Health.HEALTHY, "c1 c1 c1",
    ),
    "failed with the new version, and the old one serves": (
        "d1 c1 starting, d1 c1 running, d2 c9 starting, d2 c9 crashed",
        "d2", Sync.OUT_OF_SYNC, Health.HEALTHY, "c9 c1 c1",
    ),
    "restarted the old version at a head that wants another": (
        "d1 c1 starting, d1 c1 running, d2 c9 starting, d2 c9 crashed, d1 c9 running",
        "d2", Sync.OUT_OF_SYNC, Health.HEALTHY, "c9 c1 c1",
    ),
    "is half way through a rollout": (
        "d1 c1 running, d1 c1 running, d2 c9 starting, d2 c9 running, d1 c9 running",
        "d2", Sync.OUT_OF_SYNC, Health.HEALTHY, "c9 c1 c1",
    ),
    "went back to a version of before": (
        "d1 c1 running, d2 c2 running, d1 c3 running",
        "d4", Sync.OUT_OF_SYNC, Health.HEALTHY, "c3 c3 c3",
    ),
    "has an invalid manifest at the head": (
        "d1 c1 starting, d1 c1 running", "d1", Sync.INVALID, Health.HEALTHY, "c1 c1 c1",
    ),
    "has no history that is known": ("", "d2", Sync.OUT_OF_SYNC, Health.HEALTHY, "- - -"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_service_that(case: str) -> None:
    text, digest, sync, health, expected = CASES[case]
    status = ServiceStatus(
        name=name("web"),
        spec=replace(service("web"), digest=Digest(digest)),
        source=Source(file="services.d/web.yaml"),
        desired=DesiredState.RUNNING,
        state=State.RUNNING,
        sync=sync,
        health=health,
        reason="",
        reason_code="",
        waiting_for=(),
        waiting_since=None,
        needs=(),
        needed_by=(),
        slots=(),
        invalid=(fault("web"),) if sync is Sync.INVALID else (),
    )
    attempted, applied, healthy = (word.replace("-", "") for word in expected.split())
    wanted = Pointers(attempted=attempted, applied=applied, healthy=healthy)
    assert pointers(status, HEAD, story(text)) == wanted
