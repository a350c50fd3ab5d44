"""`weaver startup`."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import click

from reconciler.cli import exits, place, screen
from reconciler.cli.errors import CommandError
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.cli.units import Station
from reconciler.runtime import socket_file
from reconciler.runtime.home import write_whole

RUNNING = Path("/run/systemd/system")
"""There while systemd runs the host."""
LINGERING = Path("/var/lib/systemd/linger")
WITHOUT = (
    "without systemd: let your init run `weaver up` and start it again when it dies, or in a "
    "container make `weaver up` its first process; --print shows the units"
)


@command("startup")
@click.option("--user", "kind", flag_value="user", help="Units of your own; no root is needed.")
@click.option("--system", "kind", flag_value="system", help="Units of the host; default for root.")
@click.option("--print", "only_shown", is_flag=True, help="Show the units and write nothing.")
def startup_command(session: Session, kind: str | None, only_shown: bool) -> None:
    """Have systemd start Weaver with the host: write two units and enable them.

    One is the parent of the services, the other the daemon; no service dies with either.
    """
    root = Path(session.home()).resolve()
    state_dir = place.state_dir(session.state_dir)
    state = Path(socket_file.state_directory(str(root), state_dir))
    is_user = kind == "user" or (kind is None and os.geteuid() != 0)
    elsewhere = Path(state_dir).absolute() if state_dir else None
    station = Station.here(root, state, elsewhere, is_user=is_user)
    if only_shown:
        for name, text in station.texts().items():
            screen.out(f"# {station.folder / name}\n{text}")
        return
    _install(station)
    for hint in _hints(station):
        screen.out(hint)


def _install(station: Station) -> None:
    """Write the units, and let systemd know and start them at boot."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        raise CommandError("cannot enable units: systemctl is not here", mend=WITHOUT)
    for name, text in station.texts().items():
        try:
            station.folder.mkdir(parents=True, exist_ok=True)
            write_whole(station.folder / name, text)
        except OSError as error:
            raise CommandError(
                f"cannot write {station.folder / name}: {(error.strerror or '').lower()}",
                mend="run it as root, or: weaver startup --user",
                code=exits.FORBIDDEN,
            ) from error
        screen.out(f"wrote {station.folder / name}")
    words = [systemctl, *(["--user"] if station.is_user else [])]
    if RUNNING.is_dir():
        _run([*words, "daemon-reload"])
    daemon, _ = station.names
    _run([*words, "enable", daemon])
    screen.out(f"enabled {daemon}: it starts with the {'user' if station.is_user else 'host'}")


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it exited with {done.returncode}"]
        raise CommandError(
            f"cannot enable the units: {' '.join(words[1:])}: {said[-1]}",
            mend=f"the units are written; {WITHOUT}",
        )


def _hints(station: Station) -> list[str]:
    daemon, _ = station.names
    systemctl = "systemctl --user" if station.is_user else "systemctl"
    hints = [
        "To move what runs now under it, touching no service:",
        f"  weaver down --keep-services && {systemctl} start {daemon}",
    ]
    if station.is_user:
        name = pwd.getpwuid(os.getuid()).pw_name
        if not (LINGERING / name).exists():
            hints += [
                "User units end with your last login, unless you linger:",
                f"  loginctl enable-linger {name}",
            ]
    return [*hints, f"To take it back: {systemctl} disable {daemon}"]
