"""What `weaver up` in front says."""

from __future__ import annotations

import pytest

from reconciler.api.page import Page
from reconciler.cli.foreground import Voice
from reconciler.ports import EventRecord
from reconciler.runtime.messages import EventSeen


@pytest.mark.parametrize(("is_one_of_several", "name"), [(False, "worker "), (True, "worker-0 ")])
def test_an_instance_is_named_where_it_is_not_the_only_one(
    capsys: pytest.CaptureFixture[str], is_one_of_several: bool, name: str
) -> None:
    event = EventRecord(
        seq=1,
        time=0.0,
        kind="service.ready",
        service="worker",
        instance="worker-0",
        reason="",
        revision="",
        actor="",
    )
    Voice(Page(), "", quiet=False)(EventSeen(event=event, is_one_of_several=is_one_of_several))
    assert f"  {name}" in capsys.readouterr().out
