"""`weaver startup`, and what `weaver doctor` says of units that somebody wrote."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import units
from reconciler.cli.units import Station, Unit
from tests.cli.shell import weaver

NEEDS_SYSTEMD = pytest.mark.skipif(
    not (shutil.which("systemctl") and shutil.which("systemd-analyze")), reason="needs systemd"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Give a repository in a folder that wants quoting."""
    folder = tmp_path / "my app 100%"
    (folder / "services.d").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    return folder


def written(home: Path, folder: Path, *, is_user: bool = False) -> list[Path]:
    """Write the units of a repository into a folder: the daemon's and the holder's."""
    station = Station.here(home, home / ".weaver", None, is_user=is_user)
    texts = station.texts()
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in station.names]


@NEEDS_SYSTEMD
@pytest.mark.real
@pytest.mark.parametrize("is_user", [False, True], ids=["system", "user"])
def test_systemd_takes_the_units_as_they_are(home: Path, tmp_path: Path, is_user: bool) -> None:
    paths = written(home, tmp_path, is_user=is_user)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    complaints = [line for line in said.stderr.splitlines() if "weaver-" in line]
    assert not complaints


@NEEDS_SYSTEMD
@pytest.mark.real
def test_the_daemon_s_unit_can_be_enabled_and_the_doctor_sees_it(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "host" / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    daemon, _ = written(home, folder)
    subprocess.run(
        ["systemctl", f"--root={tmp_path / 'host'}", "enable", daemon.name],
        check=True,
        capture_output=True,
    )
    found = [*units.find(home, (folder,))]
    assert [unit.path.name for unit in found] == sorted(unit.path.name for unit in found)
    assert len(found) == 2
    assert [fault for unit in found for fault in units.faults(unit)] == []


WRONG = {
    "the default KillMode": ("KillMode=process\n", "", "KillMode=control-group kills every"),
    "mixed": ("KillMode=process", "KillMode=mixed", "KillMode=mixed kills every service"),
    "no Restart": ("Restart=always\n", "", "nobody starts it again"),
    "a Python that is gone": ("ExecStart=", "ExecStart=/gone", "cannot be executed"),
    "no groups to give": ("Delegate=yes\n", "", "services get no control groups"),
}


@pytest.mark.parametrize(("before", "after", "said"), WRONG.values(), ids=WRONG)
def test_the_doctor_warns_of_a_unit_that_would_take_services_along(
    home: Path, tmp_path: Path, before: str, after: str, said: str
) -> None:
    for path in written(home, tmp_path):
        text = path.read_text()
        path.write_text(text.replace(before, after))
    heard = [text for unit in units.find(home, (tmp_path,)) for text, _ in units.faults(unit)]
    assert any(said in text for text in heard), heard


def test_a_drop_in_counts_and_one_that_nothing_starts_is_told(home: Path, tmp_path: Path) -> None:
    daemon, holder = written(home, tmp_path)
    drop_in = holder.with_name(f"{holder.name}.d") / "own.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\n; KillMode=process\nKillMode = mixed\n")
    heard = {unit.path.name: [*units.faults(unit)] for unit in units.find(home, (tmp_path,))}
    assert "KillMode=mixed kills" in heard[holder.name][0][0]
    assert heard[daemon.name] == [
        ("it is not enabled: nothing starts it at boot", f"systemctl enable {daemon.name}")
    ]


def test_the_units_of_another_repository_are_none_of_its_business(
    home: Path, tmp_path: Path
) -> None:
    written(home, tmp_path)
    assert not [*units.find(tmp_path, (tmp_path,))]
    assert not Unit(path=tmp_path / "x.service", settings={"ExecStart": "'"}).words


@pytest.mark.real
def test_startup_writes_and_enables_and_says_what_is_next(home: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    fake = tmp_path / "bin" / "systemctl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    fake.chmod(0o755)
    path = f"{fake.parent}:{os.environ['PATH']}"
    env = {"PATH": path, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    said = weaver("startup", "--user", cwd=home, env=env)
    assert said.returncode == 0, said.stderr
    daemon, holder = Station.here(home, home / ".weaver", None, is_user=True).names
    folder = tmp_path / "config" / "systemd" / "user"
    assert sorted(path.name for path in folder.iterdir()) == sorted([daemon, holder])
    assert told.read_text().splitlines()[-1] == f"--user enable {daemon}"
    assert "loginctl enable-linger" in said.stdout
    assert f"weaver down --keep-services && systemctl --user start {daemon}" in said.stdout
    doctor = weaver("doctor", cwd=home, env=env)
    assert "it is not enabled" in doctor.stdout
    shown = weaver("startup", "--user", "--print", cwd=home, env=env)
    assert (folder / daemon).read_text() in shown.stdout


@pytest.mark.real
def test_without_systemd_startup_says_what_else_works(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    env = {"PATH": str(tmp_path), "XDG_CONFIG_HOME": str(config)}
    said = weaver("startup", "--user", cwd=home, env=env)
    assert said.returncode == 1
    assert "cannot enable units: systemctl is not here" in said.stderr
    assert "in a container" in " ".join(said.stderr.split())
    assert not config.exists()


@pytest.mark.real
def test_the_holder_of_a_unit_stays_in_front_and_says_when_it_is_ready(
    home: Path, tmp_path: Path
) -> None:
    station = Station.here(home, home / ".weaver", None, is_user=True)
    _, name = station.names
    unit = Unit(path=tmp_path / name, settings={"ExecStart": _exec_start(station.texts()[name])})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(10)
        words = list(unit.words)
        assert words[0] == sys.executable
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(words, env=env) as holder:
            assert supervisor.recv(100) == b"READY=1"
            assert subprocess.run(words, env=env, capture_output=True, check=False).returncode == 3
            holder.terminate()
            assert holder.wait(10) == 0


def _exec_start(text: str) -> str:
    return next(line for line in text.splitlines() if "ExecStart=" in line).split("=", 1)[1]
