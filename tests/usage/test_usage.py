"""What services use, measured on real trees of processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.clock import HostClock, wall_at
from reconciler.adapters.usage import listeners, processes
from reconciler.adapters.usage.processes import Census, Sighting, read_stat, take_census
from reconciler.adapters.usage.sampler import Meter, TreeSampler
from reconciler.model.observed import ProcessId
from reconciler.model.units import Nanos, in_seconds, seconds
from tests.waiting import until

SERVICE = """
import os, socket, sys, time
tcp = socket.create_server(("127.0.0.1", 0))
six = socket.create_server(("::1", 0), family=socket.AF_INET6)
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen()
quiet = socket.socket(socket.AF_UNIX)
if os.fork() == 0:
    ballast = b"x" * 20_000_000
    os.setpgid(0, 0)
    print("ready", tcp.getsockname()[1], six.getsockname()[1], flush=True)
    while True:
        pass
time.sleep(100)
"""


class Service:
    """A main process that listens, and a busy child of it in a group of its own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "odd name.sock"
        self.child = subprocess.Popen(
            [sys.executable, "-S", "-c", SERVICE, str(self.socket)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.child.stdout is not None
        _, port, port6 = self.child.stdout.readline().split()
        self.ports = int(port), int(port6)
        self.id = identity(self.child.pid)

    def used_s(self) -> float:
        """Give the seconds of the processor that all of it has used."""
        members = take_census().tree(self.id.pid, self.id.born)
        return sum(psutil.Process(each.pid).cpu_times().user for each in members)

    def stop(self) -> None:
        for each in take_census().tree(self.id.pid, self.id.born):
            os.kill(each.pid, 9)
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


def identity(pid: int) -> ProcessId:
    born = read_stat(Path(f"/proc/{pid}/stat").read_bytes()).born
    return ProcessId(boot=HostClock().boot(), pid=pid, born=born)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.stop()


@pytest.mark.real
def test_a_whole_tree_is_measured(service: Service) -> None:
    meter, clock = Meter(), HostClock()
    began = clock.now()
    first = meter.measure({"web-0": service.id}, began)["web-0"]
    assert first.rss > 20_000_000
    assert first.pss is not None
    assert 5_000_000 < first.pss < first.rss
    assert first.swap is not None
    assert first.file_descriptors >= 2 * 7
    port, port6 = service.ports
    assert first.listening == (
        f"127.0.0.1:{port}",
        f"[::1]:{port6}",
        f"unix:{service.socket}",
    )
    used = service.used_s()
    until(lambda: service.used_s() - used > 0.2, message="a busy child to be given the processor")
    at_least = (service.used_s() - used) / in_seconds(Nanos((now := clock.now()) - began))
    second = meter.measure({"web-0": service.id}, now)["web-0"]
    assert 90 * at_least < second.cpu_percent <= 110


@pytest.mark.real
def test_another_process_under_the_same_pid_is_not_measured(service: Service) -> None:
    other = ProcessId(boot=service.id.boot, pid=service.id.pid, born=service.id.born + 1)
    assert Meter().measure({"web-0": other}, Nanos(1)) == {}


class Stopwatch(HostClock):
    """A boot clock that a test moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def now(self) -> Nanos:
        return Nanos(super().now() + seconds(self.ahead))


@pytest.mark.real
def test_figures_are_kept_for_seconds_and_never_waited_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Stopwatch()
    measured = []
    take = processes.take_census

    def counting() -> Census:
        measured.append(clock.ahead)
        return take()

    monkeypatch.setattr(processes, "take_census", counting)
    targets = {"web-0": service.id}

    async def scenario() -> None:
        usage = TreeSampler(clock)
        assert usage.sample(targets) == {}
        first = await usage.fresh(targets, within_s=5)
        assert first["web-0"].rss > 0
        for _ in range(50):
            assert await usage.fresh(targets) == first
            assert usage.sample(targets) == first
        assert len(measured) == 1
        clock.ahead = 6
        assert usage.sample(targets) == first, "old figures are better than waiting"
        await usage.fresh(targets, within_s=5)
        assert len(measured) == 2
        clock.ahead = 7
        await usage.fresh({**targets, "gone-0": ProcessId(boot="", pid=1, born=0)}, within_s=5)
        assert len(measured) == 3, "a newcomer is measured soon"
        assert usage.sample({}) == {}
        clock.ahead = 60
        assert usage.sample(targets) == {}, "figures of long ago are not shown"
        await usage.fresh(targets, within_s=5)

    asyncio.run(scenario())


@given(
    parents=st.lists(st.integers(0, 30), min_size=31, max_size=31),
    leaders=st.lists(st.integers(1, 30), min_size=31, max_size=31),
    root=st.integers(1, 30),
)
def test_a_tree_is_everything_below_the_root_or_in_its_session(
    parents: list[int], leaders: list[int], root: int
) -> None:
    everyone = [
        Sighting(pid, parents[pid], leaders[-pid], leaders[pid], 0, 1, 0) for pid in range(1, 31)
    ]
    inside = {root}
    while True:
        more = {
            each.pid
            for each in everyone
            if each.parent in inside or root in {each.session, each.group}
        }
        if more <= inside:
            break
        inside |= more
    assert {each.pid for each in Census(everyone).tree(root, 1)} == inside


def test_the_kernels_tables_are_read_no_further_than_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "NET", tmp_path)
    row = "0: {} 00000000:0000 {} 0:0 0:0 0 0 0 {} 1 0"
    (tmp_path / "tcp").write_text(
        "head\n"
        + row.format("00000000:1F90", "0A", 11)
        + "\n"
        + row.format("0100007F:0050", "01", 12)
        + "\nnever read\n"
    )
    (tmp_path / "unix").write_text(
        "Num RefCount Protocol Flags Type St Inode Path\n"
        "0: 2 0 00010000 0001 01 21 /run/a b.sock\n"
        "0: 2 0 00010000 0001 01 22 @abstract\n"
        "0: 2 0 00010000 0001 01 23\n"
        "0: 3 0 00000000 0001 03 24 /run/client.sock\n"
        "0: 2 0 00010000 0001 01 25 /run/\x1b[31m.sock\n"
    )
    assert listeners.listening_sockets() == {
        11: "0.0.0.0:8080",
        21: "unix:/run/a b.sock",
        22: "unix:@abstract",
        25: "unix:/run/\\x1b[31m.sock",
    }


def test_boot_times_become_wall_times() -> None:
    clock = HostClock()
    assert abs(wall_at(Nanos(clock.now() - seconds(60)), clock) - (clock.wall() - 60)) < 1
    assert len(clock.boot()) == 36
