"""Ports that are left to the daemon: one for each service, picked once, told where it fails."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pytest

from reconciler.adapters.free_port import is_free
from reconciler.manifest.naming import FOLDER
from reconciler.model.desired import Definition, ManifestSet
from reconciler.model.diagnostic import Source
from reconciler.model.listening import AUTO_PORT, ListenSocket
from reconciler.model.spec import DesiredState, Readiness, ReadyType, ServiceSpec, TcpTarget
from reconciler.model.units import ServiceName
from reconciler.ports import BlockedError, LogEntry
from reconciler.runtime.allotting import PORTS, Allotting, candidates, ports_of
from reconciler.runtime.messages import Message, Summary
from reconciler.runtime.requests import Change, SetValues, Terms
from reconciler.runtime.restraint import SEARCHED, Restraint
from tests.core.building import service


class Writing:
    """Takes changes, or refuses them."""

    def __init__(self) -> None:
        self.written: dict[str, int] = {}
        self.refuses = False

    async def change(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        assert isinstance(request, SetValues)
        assert (terms.wait, terms.author.name) == (False, "Weaver")
        if self.refuses:
            raise BlockedError("a rebase is under way")
        [one] = request.assignments
        assert one.path == "port"
        self.written[request.service] = int(one.value or "")
        yield Summary(exit_code=0, text="done")


class Quiet:
    """A history without commits that nobody asked for."""

    async def log(self, path: str, limit: int) -> Sequence[LogEntry]:
        assert (path, limit) == (FOLDER, SEARCHED)
        return []


def manifests(*specs: ServiceSpec) -> ManifestSet:
    found = {spec.name: Definition(spec=spec, source=Source(file="x")) for spec in specs}
    return ManifestSet(definitions=found)


def allot(
    writing: Writing,
    *specs: ServiceSpec,
    busy: frozenset[int] = frozenset(),
    current: Mapping[str, int] | None = None,
) -> Allotting:
    made = Allotting(
        lambda: manifests(*specs),
        writing.change,
        lambda port: port not in busy,
        Restraint(Quiet(), lambda: 0.0),
        lambda name: (current or {}).get(name, 0),
    )
    asyncio.run(made.once())
    return made


def test_each_service_gets_a_port_that_nobody_has_or_is_to_have() -> None:
    first, second, third = (
        port for port, _ in zip(candidates(ServiceName("web")), range(3), strict=False)
    )
    writing = Writing()
    waiting = service("web", port=AUTO_PORT)
    named = service("b", sockets=(ListenSocket(listen=f"tcp://127.0.0.1:{first}"),))
    allot(writing, waiting, named, service("c", port=8080), busy=frozenset({second}))
    assert writing.written == {"web": third}
    assert third in PORTS


def test_a_service_that_goes_back_to_auto_keeps_the_port_that_it_listens_on() -> None:
    """It is not free since the service itself has it, and its clients know it."""
    writing = Writing()
    waiting = service("web", port=AUTO_PORT)
    allot(writing, waiting, busy=frozenset({8080}), current={"web": 8080})
    assert writing.written == {"web": 8080}
    allot(writing, waiting, service("c", port=8080), current={"web": 8080})
    assert writing.written["web"] in PORTS


def test_the_ports_of_all_instances_are_taken() -> None:
    target = TcpTarget(port="2000${instance}")
    ready = Readiness(type=ReadyType.TCP, tcp=target)
    assert list(ports_of(service("web", instances=2, ready=ready))) == [20000, 20001]
    unfilled = replace(ready, tcp=TcpTarget(port="${port}"))
    assert list(ports_of(service("web", port=AUTO_PORT, ready=unfilled))) == []
    assert set(ports_of(service("web", port=8080, ready=unfilled))) == {8080}


def test_two_that_wait_get_two_and_who_is_not_to_run_gets_none() -> None:
    writing = Writing()
    specs = [service(name, port=AUTO_PORT) for name in ("a", "b", "c")]
    specs[2] = replace(specs[2], state=DesiredState.STOPPED)
    allot(writing, *specs)
    assert writing.written.keys() == {"a", "b"}
    assert len({*writing.written.values()}) == 2


def test_what_cannot_be_written_is_a_trouble_until_it_can() -> None:
    writing = Writing()
    writing.refuses = True
    made = allot(writing, service("web", port=AUTO_PORT))
    assert made.problem == "cannot write a port for web: a rebase is under way"
    writing.refuses = False
    asyncio.run(made.once())
    assert made.problem == ""
    none = allot(writing, service("web", port=AUTO_PORT), busy=frozenset(PORTS))
    assert "is free" in none.problem


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_has_anywhere_is_not_free(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        taken.bind((host, 0))
        port = taken.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)
