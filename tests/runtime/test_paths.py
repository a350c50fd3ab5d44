"""Where everything is, also where the path is too long for a socket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.runtime import socket_file
from reconciler.runtime.home import Home, bind_socket
from reconciler.runtime.paths import StatePaths


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "run"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    return place


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    return folder


def test_everything_is_in_one_folder(tmp_path: Path) -> None:
    paths = StatePaths.of(tmp_path)
    assert paths.state == tmp_path / ".weaver"
    assert {path.parent for path in (paths.socket, paths.database, paths.daemon_log)} == {
        paths.state
    }
    assert paths.socket_note is None


def test_the_state_directory_can_be_elsewhere(tmp_path: Path) -> None:
    paths = StatePaths.of(tmp_path, tmp_path / "other")
    assert paths.socket == tmp_path / "other" / "weaver.sock"
    assert paths.logs == tmp_path / "other" / "logs"


def test_a_symlink_to_a_folder_has_the_folder_s_locks(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "link").symlink_to("repo")
    direct, linked = StatePaths.of(tmp_path / "repo"), StatePaths.of(tmp_path / "link")
    assert direct == linked


def test_a_path_too_long_for_a_socket_moves_it(deep: Path, runtime_directory: Path) -> None:
    paths = StatePaths.of(deep)
    assert paths.socket == runtime_directory / f"weaver-{paths.key}.sock"
    assert paths.socket_note == deep / ".weaver" / "weaver.sock.path"


def test_a_moved_socket_is_found_from_other_surroundings(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = StatePaths.of(deep)
    home = Home(paths)
    try:
        with bind_socket(paths.socket):
            home.register()
            monkeypatch.delenv("XDG_RUNTIME_DIR")
            assert socket_file.socket_path(str(deep)) == str(paths.socket)
            assert StatePaths.of(deep).socket == paths.socket
    finally:
        monkeypatch.undo()
        home.leave()


@pytest.mark.parametrize("length", [socket_file.LONGEST_PATH, socket_file.LONGEST_PATH + 1])
def test_the_kernel_takes_what_is_called_short_enough(tmp_path: Path, length: int) -> None:
    tail = len("/.weaver/weaver.sock")
    folder = tmp_path / ("z" * (length - len(str(tmp_path)) - 1 - tail))
    folder.mkdir()
    paths = StatePaths.of(folder)
    assert (paths.socket.parent == paths.state) == (length <= socket_file.LONGEST_PATH)
    bind_socket(paths.socket).close()


def test_a_runtime_directory_of_somebody_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/")
    assert "/" not in socket_file.runtime_directories()


def test_notes_of_daemons_that_are_gone_are_not_listed(
    runtime_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_file, "runtime_directories", lambda: [str(runtime_directory)])
    place = runtime_directory / "weaver-daemons"
    place.mkdir(mode=0o700)
    (place / "1-2").write_text("/srv/app\n/dev/null\n")
    (place / "1-3").write_text("torn")
    assert socket_file.read_registry() == []
