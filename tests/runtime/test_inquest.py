"""Ends that a port in use explains."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from reconciler.model.event import Event, Exited, TreeEmptied
from reconciler.model.observed import Exit, Slot
from reconciler.model.record import SlotMemory, SlotRecord
from reconciler.model.spec import HttpTarget, Readiness, ReadyType, ServiceSpec, TcpTarget
from reconciler.model.units import Nanos, RunId, seconds
from reconciler.runtime import inquest
from reconciler.runtime.inquest import Inquest, ports
from tests.runtime.fakes import service, slot
from tests.runtime.pictures import process
from tests.waiting import until_async

WEB = replace(service("web"), command=("serve",))
TCP = replace(WEB, ready=Readiness(type=ReadyType.TCP, tcp=TcpTarget(port=8080)))
RUN = RunId("r")


@pytest.mark.parametrize(
    ("spec", "words", "found"),
    [
        (WEB, "", []),
        (TCP, "", [8080]),
        (replace(TCP, command=("serve", "9000")), "went wrong at 9000", [8080]),
        (replace(WEB, command=("serve", "9000")), "OSError: Address already in use", [9000]),
        (WEB, "listen EADDRINUSE: address already in use :::3000", [3000]),
        (WEB, "bind() to 0.0.0.0:80 failed (98: Address already in use)", [80]),
        (replace(WEB, env={"PORT": "7${instance}01"}), "errno 98: in use", [7101]),
        (
            replace(
                WEB,
                ready=Readiness(
                    type=ReadyType.HTTP, http=HttpTarget(url="http://127.0.0.1:80${instance}0/up")
                ),
            ),
            "",
            [8010],
        ),
    ],
)
def test_ports_are_read_from_readiness_and_last_words(
    spec: ServiceSpec, words: str, found: list[int]
) -> None:
    assert list(ports(spec, replace(slot("web"), index=1), words)) == found


def ends(code: int = 1, at: int = 600, run: RunId = RUN) -> tuple[Exited, TreeEmptied]:
    end = Exit(at=Nanos(at), code=code)
    return Exited(slot=slot("web"), run=run, exit=end), TreeEmptied(slot=slot("web"), run=run)


def told(
    *events: Event,
    owner: tuple[str, str] | None,
    slow_s: float = 0.0,
    tenant: Slot | None = None,
) -> list[Event]:
    """Give what comes through, in order."""

    async def listen() -> list[Event]:
        heard: list[Event] = []

        def who(port: int) -> tuple[str, str] | None:
            assert port == 8080
            if slow_s:
                asyncio.run(asyncio.sleep(slow_s))
            return owner

        made = Inquest(who, lambda *_: "")
        record = SlotRecord(memory=SlotMemory(slot=slot("web")), process=process("web"))
        made.lookup = lambda _: (TCP, record)
        made.tenant = lambda run: tenant if run == "theirs" else None
        tell = made.through(heard.append)
        for event in events:
            tell(event)
        await until_async(lambda: not made.is_holding)
        return heard

    return asyncio.run(listen())


def test_an_early_failure_is_told_with_who_has_the_port_and_before_what_follows_it() -> None:
    exited, emptied = ends()
    first, second = told(exited, emptied, owner=("nginx (pid 12)", ""))
    assert isinstance(first, Exited)
    assert str(first.exit) == "exited with 1: port 8080 is in use by nginx (pid 12)"
    assert second == emptied


@pytest.mark.parametrize(
    ("tenant", "words"),
    [
        (slot("api"), "the service api, python3 api.py (pid 12)"),
        (replace(slot("web"), index=1), "its own web-1, python3 api.py (pid 12)"),
    ],
)
def test_a_port_that_a_service_of_ours_has_is_told_with_the_service(
    tenant: Slot, words: str
) -> None:
    first, _ = told(*ends(), owner=("python3 api.py (pid 12)", "theirs"), tenant=tenant)
    assert isinstance(first, Exited)
    ready = f"exited with 1 before it was ready: port 8080 is in use by {words}"
    assert first.exit.before_ready == ready


def test_a_port_that_is_free_is_no_finding() -> None:
    assert told(*ends(), owner=None) == list(ends())


def test_a_port_that_its_own_tree_still_has_is_no_finding() -> None:
    assert told(*ends(), owner=("web (pid 8)", RUN)) == list(ends())


@pytest.mark.parametrize(
    "events",
    [ends(code=0), ends(at=500 + seconds(11)), ends(run=RunId("another"))],
    ids=["well", "late", "unknown"],
)
def test_other_ends_go_straight_through(events: tuple[Event, ...]) -> None:
    assert told(*events, owner=("nginx (pid 12)", "")) == list(events)


def test_an_inquest_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquest, "TIME_S", 0.05)
    assert told(*ends(), owner=("nginx (pid 12)", ""), slow_s=0.3) == list(ends())
