"""One daemon to a directory, and a private directory to a daemon."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.failpoints import arm
from reconciler.ports import ConflictError, ForbiddenError, HostError
from reconciler.runtime import socket_file
from reconciler.runtime.home import (
    Home,
    bind_socket,
    find_owner,
    is_held,
    make_private,
    owner_of,
    refuse_unless_ours,
)
from reconciler.runtime.paths import StatePaths


@pytest.fixture(autouse=True)
def runtime_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    place = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    return place


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths.of(tmp_path)


@pytest.fixture
def home(paths: StatePaths) -> Iterator[Home]:
    home = Home(paths)
    yield home
    home.leave()


def test_the_state_directory_is_private(home: Home) -> None:
    assert home.paths.state.stat().st_mode & 0o777 == 0o700


def test_a_second_daemon_is_refused_and_told_who_was_first(home: Home) -> None:
    for _ in range(200):
        with pytest.raises(ConflictError, match=f"daemon {os.getpid()} runs this directory") as why:
            Home(home.paths)
        home.restore()
    assert why.value.exit_code == 10


@pytest.mark.real
def test_a_second_daemon_is_refused_in_another_process_too(home: Home) -> None:
    code = (
        "from pathlib import Path; from reconciler.runtime.home import Home;"
        "from reconciler.runtime.paths import StatePaths;"
        f"Home(StatePaths.of(Path({str(home.paths.root)!r})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert f"daemon {os.getpid()} runs this directory" in ran.stderr


def test_a_second_daemon_is_refused_after_everything_was_deleted(home: Home) -> None:
    shutil.rmtree(home.paths.state)
    with pytest.raises(ConflictError, match=str(os.getpid())):
        Home(home.paths)


def test_another_path_to_the_same_folder_is_the_same_folder(home: Home, tmp_path: Path) -> None:
    alias = tmp_path.with_name("alias")
    alias.symlink_to(home.paths.root)
    with pytest.raises(ConflictError):
        Home(StatePaths.of(alias, alias / "elsewhere"))
    alias.unlink()


def test_the_owner_is_found_with_its_version(home: Home) -> None:
    assert find_owner(home.paths) == (os.getpid(), __version__)
    shutil.rmtree(home.paths.state)
    assert find_owner(home.paths) == (os.getpid(), "")


def test_there_is_no_owner_where_nobody_runs(paths: StatePaths) -> None:
    assert find_owner(paths) is None


def test_with_its_queue_full_the_owner_is_unknown_and_never_pid_0(home: Home) -> None:
    """To kill 0 would be to kill our own group."""
    name = home.paths.daemon_lock
    askers = []
    while owner_of(name) is not None:
        asker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        asker.setblocking(False)
        with suppress(BlockingIOError):
            asker.connect(name)
        askers.append(asker)
    assert owner_of(name) is None
    assert is_held(name)
    assert find_owner(home.paths) == (None, __version__)
    with pytest.raises(ConflictError, match="another daemon runs this directory"):
        Home(home.paths)
    for asker in askers:
        asker.close()
    home.restore()
    assert owner_of(name) == os.getpid()


def test_the_next_daemon_may_come_when_the_first_has_left(paths: StatePaths) -> None:
    Home(paths).leave()
    Home(paths).leave()
    assert not is_held(paths.daemon_lock)


def test_a_lock_file_of_a_dead_daemon_does_not_matter(paths: StatePaths) -> None:
    paths.state.mkdir(mode=0o700)
    paths.lock_file.write_text("1\n")
    Home(paths).leave()


@pytest.mark.parametrize("point", ["daemon.restore.before", "daemon.lock.before"])
def test_what_could_not_be_restored_is_at_the_next_look(
    home: Home, tmp_path: Path, point: str
) -> None:
    """R6: until there is another lock file, the one that was deleted stays ours, and open."""
    shutil.rmtree(home.paths.state)
    arm(f"{point}:raise", str(tmp_path))
    with pytest.raises((OSError, HostError)):
        home.restore()
    arm("", "")
    assert home.restore()
    assert not home.restore()


def test_a_directory_that_cannot_be_locked_is_refused_with_the_mend(
    paths: StatePaths, tmp_path: Path
) -> None:
    """S11: a file system without locks."""
    arm("daemon.lock.before:raise", str(tmp_path))
    with pytest.raises(
        HostError, match=r"cannot lock .*daemon\.lock: input/output error"
    ) as refused:
        Home(paths)
    arm("", "")
    assert "--state-dir" in refused.value.mend
    Home(paths).leave()


def test_nothing_is_restored_while_nothing_is_lost(home: Home) -> None:
    assert not home.restore()


def test_what_was_deleted_is_restored(home: Home) -> None:
    shutil.rmtree(home.paths.state)
    assert home.restore()
    assert home.paths.lock_file.read_text() == f"{os.getpid()}\n{__version__}\n"
    assert home.paths.state.stat().st_mode & 0o777 == 0o700
    assert not home.restore()


def test_clients_find_the_daemon_in_the_registry_while_it_runs(
    paths: StatePaths, runtime_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_file, "runtime_directories", lambda: [str(runtime_directory)])
    home = Home(paths)
    with bind_socket(paths.socket):
        home.register()
        assert socket_file.read_registry() == [(str(paths.root), str(paths.socket))]
        home.leave()
        assert socket_file.read_registry() == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_r16_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ForbiddenError, match="others may write to it"):
        make_private(folder)


def test_a_folder_that_others_may_read_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ForbiddenError, match=r"belongs to uid .*, this is uid 12345") as why:
        make_private(folder)
    assert why.value.exit_code == 3


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(HostError, match="it is no folder"):
        make_private(tmp_path / "state")


def test_a_socket_is_bound_for_its_owner_only(tmp_path: Path) -> None:
    with bind_socket(tmp_path / "run" / "weaver.sock"):
        assert (tmp_path / "run" / "weaver.sock").stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "weaver.sock"
    bind_socket(path).close()
    with bind_socket(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("x")])
def test_p12_what_is_no_socket_is_left_alone_and_refused(tmp_path: Path, make: object) -> None:
    path = tmp_path / "weaver.sock"
    assert callable(make)
    make(path)
    with pytest.raises(HostError, match="it is no socket"):
        bind_socket(path)
    assert path.is_symlink() or path.exists()


def test_a_socket_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weaver.sock"
    bind_socket(path).close()
    found = list(path.lstat())
    found[stat.ST_UID] = 12345
    with pytest.raises(ForbiddenError, match="belongs to uid 12345"):
        refuse_unless_ours(path, os.stat_result(found))
    assert path.exists()
