"""Who listens on a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.adapters.proc import PortOwner, owner_of_port

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
