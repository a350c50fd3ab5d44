"""What the holder makes of the control groups of a host: which it finds, and what they hold."""

from __future__ import annotations

import errno
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.holder import cgroup, tree
from reconciler.holder.cgroup import MAIN, Cgroups
from reconciler.holder.hierarchy import UNIFIED, folders, own_groups
from tests import settings
from tests.holder.rig import MAIN as MAIN_PROGRAM
from tests.holder.rig import Rig, Started
from tests.settings import AS_IT_IS, NOBODY, has_v2, in_every_setting, with_a_leaf
from tests.waiting import until

pytestmark = pytest.mark.real
needs_v2 = pytest.mark.skipif(not has_v2(), reason="no control groups of version 2 for us")


# --- which hierarchies there are ---


def mount(root: str, point: Path, kind: str, options: str = "rw") -> str:
    return f"31 23 0:28 {root} {point} rw,relatime shared:4 - {kind} {kind} {options}"


@pytest.mark.parametrize(
    ("root", "path", "found"),
    [
        pytest.param("/", "/", "", id="our group is the root"),
        pytest.param("/", "/system.slice/weaver.service", "system.slice/weaver.service", id="unit"),
        pytest.param("/docker/abc", "/docker/abc", "", id="a container sees its own as the root"),
        pytest.param("/docker/abc", "/docker/abc/sub", "sub", id="or a group in there"),
        pytest.param("/docker/abc", "/docker/abcdef", None, id="a like name is another group"),
        pytest.param("/docker/abc", "/", None, id="the mount shows other groups than ours"),
        pytest.param("/", "/../other", None, id="ours is outside of the name space"),
        pytest.param("/", "/gone", None, id="ours was removed"),
    ],
)
def test_our_group_is_found_beneath_the_mount(
    tmp_path: Path, root: str, path: str, found: str | None
) -> None:
    for name in ("system.slice/weaver.service", "sub"):
        (tmp_path / name).mkdir(parents=True)
    own = folders([mount(root, tmp_path, "cgroup2")], [f"0::{path}"])
    assert own == ({} if found is None else {UNIFIED: str(tmp_path / found).rstrip("/")})


def test_a_hybrid_host_has_both_versions(tmp_path: Path) -> None:
    names = ("unified", "memory", "cpu and account")
    for name in names:
        (tmp_path / name).mkdir()
    unified, memory, cpu = (tmp_path / name for name in names)
    mounts = [
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw",
        mount("/", unified, "cgroup2"),
        mount("/", memory, "cgroup", "rw,memory"),
        mount("/", cpu, "cgroup", "rw,cpu,cpuacct").replace(" and ", "\\040and\\040"),
        mount("/", tmp_path, "cgroup", "rw,name=systemd"),
    ]
    groups = ["4:memory:/", "3:cpu,cpuacct:/", "1:name=systemd:/", "0::/"]
    assert folders(mounts, groups) == {
        UNIFIED: str(unified),
        "memory": str(memory),
        "cpu": str(cpu),
    }


def test_without_anything_mounted_nothing_is_used_and_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
    (tmp_path / "cgroup").write_text("0::/\n")
    groups = Cgroups("weaver-test", str(tmp_path))
    assert {
        purpose: shown["version"] for purpose, shown in groups.shown().items()
    } == dict.fromkeys(("main", "memory", "cpu", "pids"), 0)
    assert groups.shown()["main"]["text"] == "no cgroup v2 is mounted here"
    assert groups.plan("web-0.r", {"memory": 1}) == {}
    assert own_groups(str(tmp_path / "no-proc")) == {}


def test_a_group_that_we_may_not_write_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    (tmp_path / "mountinfo").write_text(mount("/", tmp_path / "group", "cgroup2") + "\n")
    (tmp_path / "cgroup").write_text("0::/\n")
    shown = Cgroups("weaver-test", str(tmp_path)).shown()["main"]
    assert shown["version"] == 0
    assert shown["text"].startswith(f"cannot use cgroup v2: {tmp_path}/group/weaver-test")
    assert not (tmp_path / "group" / "weaver-test").exists()


# --- what is in a leaf ---


@pytest.fixture
def leaf() -> Iterator[str]:
    """Give a leaf of version 2 with nobody in it."""
    groups = Cgroups(f"weaver-test-{secrets.token_hex(4)}")
    leaves = groups.plan("web-0.run", {})
    groups.make(leaves, {})
    yield leaves[MAIN]
    cgroup.kill(leaves[MAIN])
    until(lambda: not cgroup.is_populated(leaves[MAIN]))
    groups.remove(leaves.values())
    groups.close()


def start_in(leaf: str, *argv: str) -> subprocess.Popen[bytes]:
    enter = 'echo 0 > "$0"; exec "$@"'
    return subprocess.Popen(["/bin/sh", "-c", enter, f"{leaf}/cgroup.procs", *argv])


@needs_v2
@pytest.mark.parametrize("is_old", [False, True], ids=["cgroup.kill", "as before 5.14"])
def test_all_in_a_leaf_and_beneath_it_are_killed_though_they_fork(
    leaf: str, is_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_old:
        monkeypatch.setattr(cgroup, "KILL_FILE", "no-such-file")
    nested = Path(leaf, "nested")
    nested.mkdir()
    many = "for n in 1 2 3 4 5 6 7 8 9; do setsid sleep 1000 & done; wait"
    shells = [start_in(leaf, "sleep", "1000"), start_in(str(nested), "sh", "-c", "exec sleep 1000")]
    shells.append(start_in(leaf, "sh", "-c", many))
    until(lambda: len(cgroup.members(leaf)) == 12)
    assert cgroup.send(leaf, signal.SIGKILL) == 12
    for shell in shells:
        assert shell.wait(10) == -signal.SIGKILL
    until(lambda: not cgroup.members(leaf))
    until(lambda: cgroup.is_populated(leaf) is False)


@needs_v2
def test_c9_a_zombie_does_not_populate_a_leaf(leaf: str) -> None:
    zombie = start_in(leaf, "true")
    until(lambda: (found := tree.find(zombie.pid)) is not None and found.is_dead)
    assert cgroup.is_populated(leaf) is False
    assert zombie.wait() == 0


@needs_v2
def test_what_a_dead_holder_left_empty_is_swept_and_what_lives_is_not() -> None:
    name = f"weaver-test-{secrets.token_hex(4)}"
    groups = Cgroups(name)
    made = {}
    for run in ("empty", "alive", "ours"):
        made[run] = groups.plan(f"web-0.{run}", {})
        groups.make(made[run], {})
    Path(made["empty"][MAIN], "nested").mkdir()
    alive = start_in(made["alive"][MAIN], "sleep", "1000")
    until(lambda: cgroup.is_populated(made["alive"][MAIN]))
    groups.sweep(made["ours"].values())
    left = {run for run, leaves in made.items() if Path(leaves[MAIN]).exists()}
    assert left == {"alive", "ours"}
    alive.kill()
    alive.wait()
    Cgroups(name).sweep([])
    Cgroups(name).close()
    assert not Path(made["ours"][MAIN]).parent.exists()


@needs_v2
def test_where_all_leaves_vanished_the_next_one_is_made_and_limited_like_the_first() -> None:
    name = f"weaver-0-{secrets.randbelow(10**12)}"
    groups = Cgroups(name)
    limits = {"pids": 7} if groups.version("pids") else {}
    leaves = groups.plan("web-0.run", limits)
    for base in {Path(leaf).parent for leaf in leaves.values()}:
        base.rmdir()
    made = dict(leaves)
    groups.make(made, limits)
    assert made == leaves
    written = [path.read_text() for leaf in made.values() for path in Path(leaf).glob("pids.max")]
    assert written == (["7\n"] if limits else [])
    groups.remove(leaves.values())
    Cgroups(f"{name}0").clear()
    assert Path(leaves[MAIN]).parent.is_dir(), "it is known to be in use"
    Cgroups(f"{name}0").close()
    groups.close()
    assert not Path(leaves[MAIN]).parent.exists()


# --- the holder's use of them ---


def group_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line[3:] for line in lines if line.startswith("0::"))


def leaf_of(started: Started) -> str:
    beneath = group_of(started.pid).removeprefix(group_of(os.getpid()).rstrip("/"))
    return own_groups()[UNIFIED] + beneath


@with_a_leaf
def test_a_run_has_a_leaf_from_birth_and_the_holder_is_outside_of_it(rig: Rig) -> None:
    started = rig.spawn("web-0", "sh", "-c", "cat /proc/self/cgroup; exec sleep 1000")
    until(lambda: "0::" in started.output)
    (line,) = [line for line in started.output.splitlines() if line.startswith("0::")]
    assert line.endswith(f"/web-0.{started.run}")
    assert group_of(rig.holder_pid) == group_of(os.getpid())
    leaf = leaf_of(started)
    assert Path(leaf).is_dir()
    rig.signal(started, signal.SIGKILL)
    rig.wait_for("empty", started)
    assert not Path(leaf).exists()


@with_a_leaf
def test_v3_who_left_session_group_and_mark_behind_is_killed_by_its_leaf(rig: Rig) -> None:
    hidden = "env -i setsid sh -c 'env -i setsid sh -c \"echo up; exec sleep 1000\" & echo up'"
    started = rig.spawn_shell("web-0", f"({hidden} &); echo up; exec sleep 1000", ups=3)
    rig.signal(started, signal.SIGTERM)
    rig.wait_for("exited", started)
    refused = rig.try_spawn("web-0", ["true"])
    assert refused["error"]["errno"] == errno.EBUSY, "what is left keeps the slot"
    rig.restart_holder()
    assert not rig.runs()[started.run]["empty"], "and is found again by the next holder"
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] == 1
    rig.wait_for("empty", started)


@with_a_leaf
def test_what_is_left_of_a_tree_gets_the_stop_signal_too(rig: Rig) -> None:
    away = "trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.05; done"
    started = rig.spawn_shell("web-0", f'(env -i setsid sh -c "{away}" &); echo up; exit 0', ups=2)
    rig.wait_for("exited", started)
    assert rig.signal(started, signal.SIGTERM, "tree")["reached"] >= 1
    rig.wait_for("empty", started)
    assert started.output.count("asked") == 1


@with_a_leaf
def test_r18_a_leaf_that_vanished_under_a_live_run_is_done_without(rig: Rig) -> None:
    started = rig.spawn_shell("web-0", "(setsid sleep 1000 &); echo up; exec sleep 1000")
    leaf = leaf_of(started)
    for pid in cgroup.members(leaf):
        Path(own_groups()[UNIFIED], "cgroup.procs").write_text(str(pid))
    until(lambda: not cgroup.is_populated(leaf))
    Path(leaf).rmdir()
    rig.signal(started, signal.SIGTERM)
    rig.wait_for("exited", started)
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    assert rig.signal(started, signal.SIGKILL, "tree")["reached"] == 1
    rig.wait_for("empty", started)


@with_a_leaf
def test_r18_a_run_has_a_leaf_though_all_that_there_were_vanished(rig: Rig) -> None:
    former = rig.spawn("web-0", "sleep", "1000")
    base = Path(leaf_of(former)).parent
    rig.signal(former, signal.SIGKILL)
    rig.wait_for("empty", former)
    base.rmdir()
    started = rig.spawn("web-0", "sleep", "1000")
    assert leaf_of(started) == f"{base}/web-0.{started.run}"


@with_a_leaf
def test_v17_what_moved_out_of_its_leaf_is_killed_with_its_tree(rig: Rig) -> None:
    """As `su` does where a login begins a group of its own."""
    out = Path(own_groups()[UNIFIED], "cgroup.procs")
    script = f"(setsid sh -c 'echo 0 > {out}; echo up; exec sleep 1000' &); echo up; sleep 1000"
    started = rig.spawn_shell("web-0", script, ups=2)
    rig.signal(started, signal.SIGKILL, "tree")
    rig.wait_for("empty", started)
    assert not [pid for pid in cgroup.members(str(out.parent)) if tree.mark(pid) == started.run]


@pytest.fixture
def freezer() -> Iterator[Path]:
    """Give a group of version 1 in which not even SIGKILL has any effect while it is frozen."""
    if not os.access("/sys/fs/cgroup/freezer/cgroup.procs", os.W_OK):
        pytest.skip("there is no freezer of version 1 here")
    group = Path("/sys/fs/cgroup/freezer", f"weaver-test-{secrets.token_hex(4)}")
    group.mkdir()
    yield group
    (group / "freezer.state").write_text("THAWED")
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@in_every_setting
def test_c10_an_unkillable_tree_keeps_its_slot_and_nobody_waits_for_it(
    rig: Rig, freezer: Path
) -> None:
    stuck = rig.spawn_shell("web-0", "sleep 1000 & echo up; wait")
    (freezer / "cgroup.procs").write_text(str(stuck.pid))
    (freezer / "freezer.state").write_text("FROZEN")
    until(lambda: (freezer / "freezer.state").read_text() == "FROZEN\n")
    rig.signal(stuck, signal.SIGKILL, "tree")
    other = rig.spawn("web-1", "true")
    rig.wait_for("empty", other)
    assert rig.try_spawn("web-0", ["true"])["error"]["errno"] == errno.EBUSY
    assert not rig.runs()[stuck.run]["empty"]
    (freezer / "freezer.state").write_text("THAWED")
    rig.wait_for("empty", stuck)


def test_the_holder_tells_what_is_in_force(rig: Rig) -> None:
    shown = rig.connect()["cgroups"]
    assert rig.setting == AS_IT_IS
    assert shown["main"]["version"] == (2 if has_v2() else 0)
    assert {*shown} == {"main", "memory", "cpu", "pids"}


# --- limits ---

EAT = "import sys, time; x = bytearray(64 << 20); print('ate', flush=True); time.sleep(1000)"


def limited(rig: Rig, purpose: str) -> bool:
    """Tell whether this host has a controller for us; without one the limit is not the holder's."""
    return bool(rig.connect()["cgroups"][purpose]["version"])


def test_who_uses_more_than_its_memory_is_killed_and_it_is_told_by_whom(rig: Rig) -> None:
    if not limited(rig, "memory"):
        pytest.skip("no memory controller for us")
    greedy = rig.spawn("web-0", sys.executable, "-c", EAT, resources={"memory": 16 << 20})
    told = rig.wait_for("exited", greedy)
    assert (told["signal"], told["oom"]) == (signal.SIGKILL, True)
    rig.wait_for("empty", greedy)
    modest = rig.spawn("web-0", sys.executable, "-c", EAT, resources={"memory": 512 << 20})
    until(lambda: "ate" in modest.output)
    rig.signal(modest, signal.SIGKILL)
    assert "oom" not in rig.wait_for("exited", modest)
    rig.restart_holder()
    assert rig.runs()[greedy.run]["exit"]["oom"], "and it is on record"


def test_v5_a_fork_bomb_is_held_by_pids_max_and_killed_whole(rig: Rig) -> None:
    if not limited(rig, "pids"):
        pytest.skip("no pids controller for us")
    bomb = "echo up; for n in $(seq 500); do setsid env -i sleep 1000 & done 2>/dev/null; wait"
    started = rig.spawn("web-0", "/bin/sh", "-c", bomb, resources={"pids": 40})
    other = rig.spawn("web-1", "true")
    rig.wait_for("empty", other)
    leaf = own_groups()["pids"] if "pids" in own_groups() else own_groups()[UNIFIED]
    (group,) = Path(leaf).glob(f"weaver-*/web-0.{started.run}")
    until(lambda: "max 0" not in (group / "pids.events").read_text(), message="the limit to bite")
    assert int((group / "pids.current").read_text()) <= 40
    rig.signal(started, signal.SIGKILL, "tree")
    rig.wait_for("empty", started)
    until(lambda: not group.exists() or not (group / "cgroup.procs").read_text())


def test_a_storm_of_short_children_costs_no_slot_and_leaves_no_zombie(rig: Rig) -> None:
    storm = "n=0; while [ $n -lt 2000 ]; do (true &) ; n=$((n+1)); done; echo up; exec sleep 1000"
    started = rig.spawn("web-0", "/bin/sh", "-c", storm)
    until(lambda: "up" in started.output, seconds=30)
    until(lambda: (tree.children() is not None) and len(orphans(rig.holder_pid)) == 1)
    assert rig.runs()[started.run]["exit"] is None
    rig.signal(started, signal.SIGKILL, "tree")
    rig.wait_for("empty", started)


def orphans(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_share_of_a_core_is_a_quota(rig: Rig) -> None:
    if not limited(rig, "cpu"):
        pytest.skip("no cpu controller for us")
    started = rig.spawn("web-0", "sleep", "1000", resources={"cpu": 0.5})
    own = own_groups()
    (group,) = Path(own.get("cpu", own[UNIFIED])).glob(f"weaver-*/web-0.{started.run}")
    if "cpu" in own:
        quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    else:
        quota, period = (group / "cpu.max").read_text().split()
    assert int(quota) / int(period) == 0.5
    assert str(started.pid) in (group / "cgroup.procs").read_text().split()


def test_a_limit_that_the_kernel_refuses_is_a_start_that_failed(rig: Rig) -> None:
    if not limited(rig, "pids"):
        pytest.skip("no pids controller for us")
    refused = rig.try_spawn("web-0", ["true"], resources={"pids": -7})["error"]
    assert refused["step"] == "cgroup"
    assert "pids.max" in refused["text"]
    assert rig.spawn("web-0", "true").pid


def test_controllers_of_version_2_are_handed_on_to_leaves(tmp_path: Path) -> None:
    """On files that stand for control groups: here no controller may be of version 2."""
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "mountinfo").write_text(mount("/", own, "cgroup2") + "\n")
    (tmp_path / "cgroup").write_text("0::/\n")
    base = own / "weaver-test"
    base.mkdir()
    for group in (own, base):
        (group / "cgroup.procs").write_text("")
        (group / "cgroup.subtree_control").write_text("")
    (own / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    groups = Cgroups("weaver-test", str(tmp_path))
    assert (own / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert (base / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert {shown["text"] for shown in groups.shown().values()} == {"cgroup v2"}
    leaves = groups.plan("web-0.r", {"memory": 1 << 20, "cpu": 1.5, "pids": 7})
    assert leaves == {MAIN: str(base / "web-0.r")}
    (base / "web-0.r").mkdir()
    for name in ("memory.max", "cpu.max", "pids.max"):
        (base / "web-0.r" / name).write_text("")
    groups.make(leaves, {"memory": 1 << 20, "cpu": 1.5, "pids": 7})
    written = [(base / "web-0.r" / f"{name}.max").read_text() for name in ("memory", "cpu", "pids")]
    assert written == ["1048576", "150000 100000", "7"]
    (base / "web-0.r" / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert cgroup.oom_kills(leaves) == 2


@pytest.fixture
def delegated() -> Iterator[Path]:
    """Give a control group that belongs to an unprivileged user, as systemd delegates one."""
    if not has_v2() or os.geteuid() != 0:
        pytest.skip("only root can hand a control group of version 2 to somebody")
    group = Path(own_groups()[UNIFIED], f"test-{secrets.token_hex(4)}")
    group.mkdir()
    for path in (group, *(group / f"cgroup.{name}" for name in ("procs", "subtree_control"))):
        os.chown(path, NOBODY, NOBODY)
    yield group
    cgroup.kill(str(group))
    until(lambda: not cgroup.is_populated(str(group)))
    for inner in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        inner.rmdir()
    group.rmdir()


def test_an_unprivileged_user_has_leaves_in_a_group_of_its_own(
    tmp_path: Path, delegated: Path
) -> None:
    with settings.place("user", tmp_path) as root:
        rig = Rig(root, "user")
        holder = [sys.executable, "-I", "-S", str(MAIN_PROGRAM), str(rig.directory), str(rig.state)]
        enter = ["/bin/sh", "-ec", 'echo 0 > "$0"; exec "$@"', f"{delegated}/cgroup.procs"]
        subprocess.run([*enter, *settings.command("user", holder)], env={}, check=True, timeout=20)
        assert rig.connect()["cgroups"]["main"] == {"version": 2, "text": "cgroup v2"}
        hidden = "env -i setsid sh -c 'echo up; exec sleep 1000'"
        started = rig.spawn_shell("web-0", f"({hidden} &); echo up; exec sleep 1000", ups=2)
        assert Path(leaf_of(started)).parent.parent == delegated
        rig.signal(started, signal.SIGKILL, "tree")
        rig.wait_for("empty", started)
        rig.close()
