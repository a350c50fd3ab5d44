"""What people are told of a version that failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.core.rollout_words import what_is_left
from reconciler.model.record import Rollout, RolloutPhase
from reconciler.model.units import Digest, Nanos
from tests.core.building import service

BASE = replace(service("web", instances=3), digest=Digest("0a1b2c3d4e5f"))
TO = replace(BASE, digest=Digest("9f8e7d6c5b4a"))
FAILED = Rollout(
    to=TO, base=BASE, since=Nanos(0), began=Nanos(1), phase=RolloutPhase.PAUSED, failed=True
)


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        (FAILED, "web runs version 0a1b2c3d as before, version 9f8e7d6c is quarantined"),
        (
            replace(FAILED, phase=RolloutPhase.UNDONE),
            "web runs version 0a1b2c3d as before, version 9f8e7d6c is quarantined",
        ),
        (
            replace(FAILED, rolled=(0,)),
            "web-0 runs version 9f8e7d6c, which is quarantined, the rest of web version 0a1b2c3d",
        ),
        (
            replace(FAILED, rolled=(0, 1, 2)),
            "web-0 and web-1 and web-2 run version 9f8e7d6c, which is quarantined",
        ),
        (replace(FAILED, phase=RolloutPhase.BACK), ""),
        (replace(FAILED, failed=False), ""),
        (replace(FAILED, to=BASE), ""),
    ],
    ids=[
        "all kept the version before",
        "all are back",
        "one stood",
        "all stood",
        "on the way back",
        "somebody paused it",
        "a restart",
    ],
)
def test_after_a_version_failed_it_is_said_what_runs(rollout: Rollout, said: str) -> None:
    assert what_is_left(rollout) == said
