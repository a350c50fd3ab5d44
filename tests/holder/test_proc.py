"""Who listens on a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.adapters.proc import PortOwner, intruder, owner_of_address, owner_of_port
from reconciler.holder.tree import find
from reconciler.model.observed import Process, ProcessId, Slot
from reconciler.model.units import Digest, Nanos, RunId, ServiceName
from tests.waiting import until

pytestmark = pytest.mark.real

LISTEN = """
import socket, sys
family = socket.AF_INET6 if sys.argv[1] == "::1" else socket.AF_INET
listener = socket.socket(family)
listener.bind((sys.argv[1], 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
def test_the_process_behind_a_port_is_named_with_its_mark(address: str) -> None:
    if address == "::1" and not Path("/proc/net/tcp6").exists():
        address = "127.0.0.2"
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, address],
        env={**os.environ, "WEAVER_RUN": "r1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as listener:
        assert listener.stdout is not None
        port = int(listener.stdout.readline())
        owner = owner_of_port(port)
        assert owner is not None
        assert (owner.pid, owner.run) == (listener.pid, "r1")
        assert str(owner).startswith(sys.executable)
        assert str(owner).endswith(f"(pid {listener.pid})")
        listener.kill()


def test_a_port_that_is_only_bound_or_connected_has_no_owner() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert owner_of_port(bound.getsockname()[1]) is None


def test_a_process_that_we_may_not_look_into_is_still_somebody(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    row = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1"
    (tmp_path / "net" / "tcp").write_text(f"header\n{row}\n")
    assert owner_of_port(8080, tmp_path) == PortOwner(pid=None, command="")
    assert str(owner_of_port(8080, tmp_path)) == "a process of another user"
    assert owner_of_port(8081, tmp_path) is None


SIT = "import sys; sys.stdin.read()"


@contextmanager
def running(run: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python for as long as it takes, under the mark of a run."""
    marks = {"WEAVER_RUN": run} if run else {}
    with subprocess.Popen(
        [sys.executable, "-c", *words],
        env={**os.environ, **marks},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def listening(run: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Have somebody listen, and give the port."""
    with running(run, LISTEN, "127.0.0.1") as child:
        assert child.stdout is not None
        yield int(child.stdout.readline()), child


def born(pid: int) -> int:
    found = find(pid)
    assert found is not None
    return found.born


def process(pid: int, run: str) -> Process:
    return Process(
        slot=Slot(service=ServiceName("web"), index=0),
        id=ProcessId(boot="b", pid=pid, born=born(pid)),
        run=RunId(run),
        digest=Digest("d"),
        started=Nanos(0),
    )


def let_a_tick_pass() -> None:
    """Wait until whoever is born now is younger than whoever was born before."""
    begun = born_now()
    until(lambda: born_now() > begun)


def born_now() -> int:
    with running("", SIT) as child:
        return born(child.pid)


@pytest.mark.parametrize("mark", ["", "another"])
def test_who_listened_before_a_process_began_and_is_not_of_its_run_is_an_intruder(
    mark: str,
) -> None:
    with listening(mark) as (port, stranger):
        let_a_tick_pass()
        with running("ours", SIT) as child:
            found = intruder(port, process(child.pid, "ours"))
    assert found is not None
    assert (found.pid, found.run) == (stranger.pid, mark)
    assert found.program == Path(sys.executable).name


def test_who_began_to_listen_later_may_do_so_for_the_service() -> None:
    with running("ours", SIT) as child:
        let_a_tick_pass()
        with listening("") as (port, _):
            assert intruder(port, process(child.pid, "ours")) is None


def test_a_process_of_the_same_run_is_no_intruder() -> None:
    with listening("ours") as (port, _):
        let_a_tick_pass()
        with running("ours", SIT) as child:
            assert intruder(port, process(child.pid, "ours")) is None


def test_a_socket_that_was_handed_down_is_not_held_by_an_intruder() -> None:
    let_a_tick_pass()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-c", SIT], stdin=subprocess.PIPE, pass_fds=[server.fileno()]
        ) as child:
            assert intruder(port, process(child.pid, "ours")) is None
            child.kill()


def test_a_port_nobody_listens_on_has_no_intruder() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert intruder(bound.getsockname()[1], process(os.getpid(), "ours")) is None


def test_who_only_keeps_a_socket_for_others_is_not_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as kept:
        address = f"tcp://127.0.0.1:{kept.getsockname()[1]}"
        owner = owner_of_address(address)
        assert owner is not None
        assert owner.pid == os.getpid()
        assert owner_of_address(address, but=(os.getpid(), None)) is None


def test_who_listens_at_a_path_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "a"))
        assert owner_of_address(f"unix:{tmp_path}/a") is None, "it only has the name"
        listening.listen()
        owner = owner_of_address(f"unix:{tmp_path}/a")
    assert owner is not None
    assert owner.pid == os.getpid()
