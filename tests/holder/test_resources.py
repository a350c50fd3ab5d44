"""What a start may use, and whether the host has that much memory: as read from its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.native.resources import available_memory, resources, shortage
from reconciler.model.spec import MemoryAction, ServiceSpec
from reconciler.model.units import Digest, ServiceName

MIB = 1 << 20


def spec(max_memory: int | None = None, action: MemoryAction = MemoryAction.RESTART) -> ServiceSpec:
    return ServiceSpec(
        name=ServiceName("web"),
        digest=Digest("d"),
        max_memory=max_memory,
        max_cpu=0.5,
        pids_max=7,
        memory_action=action,
    )


def make_host(root: Path, *, limit: str, used: int, spare: int, version: int) -> str:
    """Make files of a host with 300M available, and of the group in which we are."""
    proc, group = root / "proc", root / "cgroup" / "unit"
    (proc / "self").mkdir(parents=True)
    group.mkdir(parents=True)
    (proc / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {300 * 1024} kB\n")
    kind, options = ("cgroup2", "rw") if version == 2 else ("cgroup", "rw,memory")
    mounts = f"1 1 0:1 / {root}/cgroup rw - {kind} {kind} {options}\n"
    (proc / "self" / "mountinfo").write_text(mounts)
    (proc / "self" / "cgroup").write_text("0::/unit\n4:memory:/unit\n")
    names = ("limit_in_bytes", "usage_in_bytes", "total_")
    if version == 2:
        names = ("max", "current", "")
    (group / "cgroup.procs").write_text("")
    (group / f"memory.{names[0]}").write_text(limit + "\n")
    (group / f"memory.{names[1]}").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"{names[2]}inactive_file {spare}\n")
    return str(proc)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("limit", "used", "spare", "available"),
    [
        pytest.param("max", 0, 0, 300, id="only the host's own"),
        pytest.param(str(400 * MIB), 150 * MIB, 0, 250, id="a group above us leaves less"),
        pytest.param(str(400 * MIB), 390 * MIB, 90 * MIB, 100, id="caches are given up"),
        pytest.param(str(100 * MIB), 200 * MIB, 0, 0, id="a group that is over its limit"),
    ],
)
def test_what_is_available_is_the_least_of_host_and_groups(
    tmp_path: Path, version: int, limit: str, used: int, spare: int, available: int
) -> None:
    text = str(1 << 62) if (limit, version) == ("max", 1) else limit
    proc = make_host(tmp_path, limit=text, used=used, spare=spare, version=version)
    assert available_memory(proc) == available * MIB


def test_r12_a_start_that_may_use_more_than_there_is_waits(tmp_path: Path) -> None:
    proc = make_host(tmp_path, limit="max", used=0, spare=0, version=2)
    assert shortage(spec(512 * MIB), proc) == "needs 512M, 300M available"
    assert shortage(spec(300 * MIB), proc) == ""
    assert shortage(spec(), proc) == ""


def test_where_nothing_says_what_is_available_every_start_is_made(tmp_path: Path) -> None:
    assert shortage(spec(1 << 50), str(tmp_path)) == ""


def test_a_limit_that_is_only_told_of_is_not_set() -> None:
    assert resources(spec(5 * MIB)) == {"memory": 5 * MIB, "cpu": 0.5, "pids": 7}
    assert resources(spec(5 * MIB, MemoryAction.ALERT)) == {"cpu": 0.5, "pids": 7}
