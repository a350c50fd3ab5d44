"""Sockets that services listen on: bound once, handed on, and open whatever dies meanwhile."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.holder import binding, wire
from reconciler.holder.journal import Journal
from reconciler.holder.log import Log
from reconciler.holder.sockets import Sockets
from reconciler.holder.spawn import Refused
from tests.holder import speaker
from tests.holder.installation import installation
from tests.holder.rig import Message, Rig, Started
from tests.waiting import until

pytestmark = pytest.mark.real
GREETER = str(Path(__file__).with_name("greeter.py"))


def free_port(host: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


def listen(rig: Rig, address: str, service: str = "web", **how: Any) -> Message:
    return rig.ask("listen", address=address, service=service, **how)


def greeter(rig: Rig, slot: str, *addresses: str, **changes: Any) -> Started:
    sockets = [{"address": one, "name": f"n{place}"} for place, one in enumerate(addresses)]
    tag = {"digest": "d1", "service": "web"}
    words = (sys.executable, "-S", GREETER)
    started = rig.spawn(slot, *words, sockets=sockets, tag=tag, **changes)
    until(lambda: "up" in started.output, message=started.output)
    return started


def greeted_by(address: str) -> int:
    """Connect, and give the pid of who answers; raises ConnectionRefusedError where nobody does."""
    family, where = socket.AF_INET, address.removeprefix("tcp://").rpartition(":")
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        target: Any = address.removeprefix("unix:")
    else:
        family = socket.AF_INET6 if "[" in address else socket.AF_INET
        sock = socket.socket(family)
        target = (where[0].strip("[]"), int(where[2]))
    with sock:
        sock.settimeout(10)
        sock.connect(target)
        return int(sock.recv(64))


def held(rig: Rig) -> dict[str, bool]:
    return {one["address"]: one["held"] for one in rig.ask("list")["sockets"]}


def test_a_process_gets_its_sockets_in_order_and_what_it_stored_after_them(rig: Rig) -> None:
    first, second = f"tcp://127.0.0.1:{free_port()}", f"unix:{rig.root}/web.sock"
    assert "error" not in listen(rig, first)
    assert "error" not in listen(rig, second)
    speaking = [sys.executable, "-S", speaker.__file__, "store kept", "barrier 5", "stay"]
    storing = rig.spawn("web-0", *speaking, notify={"watchdog": 0})
    rig.wait_until(lambda event: event.get("what") == "fd")
    rig.signal(storing, signal.SIGKILL, "tree")
    rig.wait_for("empty", storing)
    web = greeter(rig, "web-0", second, first, notify={"watchdog": 0})
    assert f"LISTEN_FDNAMES n0:n1:kept\nLISTEN_FDS 3\nLISTEN_PID {web.pid}\n" in web.output
    assert greeted_by(second) == web.pid
    refused = rig.try_spawn("web-1", ["true"], sockets=[{"address": "unix:/nowhere", "name": "x"}])
    assert refused["error"]["errno"] == errno.ENOTCONN


def test_a_port_stays_open_between_processes_and_whatever_dies(rig: Rig) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    rig.connect(can=["sockets"])
    listen(rig, address)
    first = greeter(rig, "web-0", address)
    assert greeted_by(address) == first.pid
    rig.signal(first, signal.SIGKILL)
    rig.wait_for("empty", first)
    waiting = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5)
    listen(rig, address)  # as before each start
    second = greeter(rig, "web-0", address)
    assert int(waiting.recv(64)) == second.pid
    waiting.close()

    # The holder dies: the daemon has a duplicate, and the next holder gets it.
    rig.signal(second, signal.SIGKILL)
    rig.wait_for("empty", second)
    shown = [(one, fd) for one, fd in rig.fds if one.get("what") == "listener"]
    rig.restart_holder()
    assert held(rig) == {address: False}
    told = {name: shown[-1][0][name] for name in ("what", "slot", "address", "service")}
    assert "error" not in rig.ask("keep", fds=[shown[-1][1]], **told)
    assert held(rig) == {address: True}

    # Both die: a living process still has it.
    third = greeter(rig, "web-0", address)
    rig.close_kept()
    rig.restart_holder()
    assert held(rig) == {address: True}
    rig.state.joinpath("holder/journal").unlink()
    rig.restart_holder()
    assert held(rig) == {address: True}
    rig.signal(third, signal.SIGKILL)
    rig.wait_for("empty", third)
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5):
        pass  # it is open all the same
    rig.ask("unlisten", service="web", addresses=[address])
    assert held(rig) == {}
    with pytest.raises(ConnectionRefusedError):
        greeted_by(address)


def test_another_program_goes_on_with_the_same_sockets(rig: Rig, tmp_path: Path) -> None:
    port, file = f"tcp://127.0.0.1:{free_port()}", f"unix:{rig.root}/web.sock"
    for address in (port, file):
        listen(rig, address)
    answer = rig.ask("reexec", program=str(installation(tmp_path / "next", "9.9.9")))
    assert answer.get("version") == "9.9.9"
    assert held(rig) == {port: True, file: True}
    web = greeter(rig, "web-0", file)
    assert greeted_by(file) == web.pid


def test_a_file_has_its_mode_and_owner_and_goes_when_it_is_let_go(rig: Rig) -> None:
    path = rig.root / "web.sock"
    address = f"unix:{path}"
    assert "error" not in listen(rig, address, mode=0o606, uid=1234, gid=4321)
    found = path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o606, 1234, 4321)
    listen(rig, address, mode=0o600, uid=os.geteuid(), gid=os.getegid(), backlog=1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_ino == found.st_ino
    refused = listen(rig, address, service="other")
    assert "still held for web" in refused["error"]["text"]
    rig.ask("unlisten", service="other", addresses=[address])
    assert path.exists()
    rig.ask("unlisten", service="web", addresses=[address])
    assert not path.exists()


def test_a_file_that_was_removed_is_bound_anew_and_another_one_is_left_alone(rig: Rig) -> None:
    path = rig.root / "web.sock"
    listen(rig, f"unix:{path}")
    path.unlink()
    listen(rig, f"unix:{path}")
    web = greeter(rig, "web-0", f"unix:{path}")
    assert greeted_by(f"unix:{path}") == web.pid
    path.unlink()
    path.write_text("somebody's own")
    refused = listen(rig, f"unix:{path}")["error"]
    assert (refused["errno"], refused["step"]) == (errno.EEXIST, "socket")
    rig.ask("unlisten", service="web", addresses=[f"unix:{path}"])
    assert path.read_text() == "somebody's own"


def test_an_address_that_somebody_has_is_refused_and_what_a_dead_one_left_is_replaced(
    rig: Rig,
) -> None:
    path = rig.root / "taken.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(socket.AF_UNIX) as file:
        file.bind(str(path))
        file.listen()
        port = taken.getsockname()[1]
        for address in (f"tcp://127.0.0.1:{port}", f"unix:{path}"):
            assert listen(rig, address)["error"]["errno"] == errno.EADDRINUSE, address
        assert path.exists()
    assert held(rig) == {}
    assert "error" not in listen(rig, f"unix:{path}")  # nobody answers there any more
    assert "no such file" in listen(rig, "unix:/nowhere/web.sock")["error"]["text"]


@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_ports_of_the_newer_kind_are_bound_too(rig: Rig, host: str) -> None:
    port = free_port("::1")
    assert "error" not in listen(rig, f"tcp://{host}:{port}")
    web = greeter(rig, "web-0", f"tcp://{host}:{port}")
    assert greeted_by(f"tcp://[::1]:{port}") == web.pid
    if host == "[::]":
        assert greeted_by(f"tcp://127.0.0.1:{port}") == web.pid
    else:
        with pytest.raises(ConnectionRefusedError):
            greeted_by(f"tcp://127.0.0.1:{port}")


def test_one_that_the_kernel_does_not_give_back_is_in_use_until_its_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "process 12 keeps it")

    journal = Journal(str(tmp_path / "state"))
    with socket.create_server(("127.0.0.1", 0)) as kept:
        address = f"tcp://127.0.0.1:{kept.getsockname()[1]}"
        known = {"slot": "web-0", "tag": {"service": "web"}, "at": 1, "sockets": [(address, "web")]}
        journal.record({"is": "spawning", "run": "r1"} | known)
        monkeypatch.setattr("reconciler.holder.sockets.regain", refuse)
        sockets = Sockets(journal, Log(str(tmp_path / "state")), lambda *_: None)
        sockets.recover(journal.ledger.unfinished())
        shown = {"address": address, "service": "web", "held": False}
        assert sockets.shown() == [shown]
        with pytest.raises(Refused) as refused:
            sockets.listen({"address": address, "service": "web"})
        assert refused.value.number == errno.EADDRINUSE
    sockets.listen({"address": address, "service": "web"})
    assert sockets.shown() == [shown | {"held": True}]
    sockets.close()


def test_a_socket_of_another_address_is_not_taken_for_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert binding.is_at(sock, f"tcp://127.0.0.1:{port}")
        assert not binding.is_at(sock, f"tcp://127.0.0.1:{port + 1}")
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        assert not binding.is_at(idle, f"tcp://127.0.0.1:{idle.getsockname()[1]}")
    assert wire.STORED_MOST + 16 + 3 < 160
