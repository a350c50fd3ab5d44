"""The two units that run Weaver under systemd, and what is wrong with those that somebody wrote.

Systemd's default kills everything in a unit's control group when its main process dies. So holder
and daemon have a unit each, and neither takes others along: killed, each is started again, and the
services run on. An orderly end (`weaver down`, exit 0) is not undone.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import reconciler

SYSTEM_FOLDER = Path("/etc/systemd/system")
_INHERITED = ("PATH", "LANG", "TZ")
_PACKAGES = Path(reconciler.__file__).resolve().parents[1]
_HOLDER = _PACKAGES / "reconciler" / "holder" / "__main__.py"

HOLDER_UNIT = """\
[Unit]
Description=Weaver: the parent of the services of {root}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={holder}
{who}# The holder may be killed or replaced; services never die with it.
KillMode=process
Delegate=yes
Restart=always
RestartSec=100ms
# It left in order, or the directory has a holder already.
RestartPreventExitStatus=0 3
{spared}"""

DAEMON_UNIT = """\
[Unit]
Description=Weaver: the services of {root}
After=network.target {holder_unit}
Wants={holder_unit}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={up}
ExecReload={reexec}
{who}{environment}# The daemon may be killed or replaced; services never die with it.
KillMode=process
Restart=always
RestartSec=200ms
# It left in order, or another daemon has the directory.
RestartPreventExitStatus=0 10
WatchdogSec=30
# Stopping it stops the services, in order.
TimeoutStopSec=5min

[Install]
WantedBy={target}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """What is to run, and as whose."""

    root: Path
    state: Path
    state_dir: Path | None = None
    """Where it is not the usual one."""
    is_user: bool
    """Whether the units are the user's own, or the system's."""
    user: str = ""
    """As whom the system's units run; empty: root."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls, root: Path, state: Path, state_dir: Path | None, *, is_user: bool) -> Station:
        """Give what runs here: as the owner of the repository, with the present PATH."""
        owner = root.stat().st_uid
        found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        if not _PACKAGES.is_relative_to(sys.prefix):
            found["PYTHONPATH"] = str(_PACKAGES)
        return cls(
            root=root,
            state=state,
            state_dir=state_dir,
            is_user=is_user,
            user="" if is_user or owner == 0 else pwd.getpwuid(owner).pw_name,
            environment=found,
        )

    @property
    def names(self) -> tuple[str, str]:
        """Give the names of the daemon's and the holder's unit."""
        base = "weaver-" + re.sub(r"[^A-Za-z0-9]+", "-", str(self.root)).strip("-")
        return f"{base}.service", f"{base}-holder.service"

    @property
    def folder(self) -> Path:
        """Give the folder of the units."""
        return user_folder() if self.is_user else SYSTEM_FOLDER

    def texts(self) -> dict[str, str]:
        """Give the text of each unit by its name."""
        daemon, holder = self.names
        weaver = [sys.executable, "-P", "-m", "reconciler", "-C", str(self.root)]
        if self.state_dir is not None:
            weaver += ["--state-dir", str(self.state_dir)]
        hold = [sys.executable, "-I", "-S", str(_HOLDER), "--stay", str(self.root), str(self.state)]
        who = f"User={self.user}\n" if self.user else ""
        return {
            holder: HOLDER_UNIT.format(
                root=_escaped(str(self.root)),
                holder=_command(hold),
                who=who,
                # To a user's own units it is not allowed.
                spared="" if self.is_user or self.user else "OOMScoreAdjust=-900\n",
            ),
            daemon: DAEMON_UNIT.format(
                root=_escaped(str(self.root)),
                holder_unit=holder,
                up=_command([*weaver, "up"]),
                reexec=_command([*weaver, "reexec"]),
                who=who,
                environment="".join(
                    f"Environment={_word(f'{name}={value}')}\n"
                    for name, value in self.environment.items()
                ),
                target="default.target" if self.is_user else "multi-user.target",
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as somebody wrote it, drop-ins included."""

    path: Path
    settings: Mapping[str, str]

    @property
    def words(self) -> Sequence[str]:
        """Give the words of its command."""
        try:
            words = shlex.split(self.settings.get("ExecStart", "").lstrip("@-:+!"))
        except ValueError:
            return ()
        return [word.replace("%%", "%").replace("$$", "$") for word in words]

    @property
    def is_enabled(self) -> bool:
        """Tell whether something that is started at boot wants it."""
        return any(
            os.path.lexists(place / self.path.name)
            for kind in ("*.wants", "*.requires")
            for place in self.path.parent.glob(kind)
        )


def user_folder() -> Path:
    """Give the folder of a user's own units."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "systemd" / "user"


def find(root: Path, folders: Sequence[Path]) -> Iterator[Unit]:
    """Find the units that run something of Weaver's for a repository."""
    for folder in folders:
        for path in sorted(folder.glob("*.service")):
            unit = Unit(path=path, settings=_read(path))
            is_ours = any(name in word for word in unit.words for name in ("reconciler", "weaver"))
            if is_ours and str(root) in unit.words:
                yield unit


def faults(unit: Unit) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a unit, and what mends it."""
    name, settings = unit.path.name, unit.settings
    is_holder = any("reconciler/holder" in word for word in unit.words)
    kill_mode = settings.get("KillMode", "control-group")
    if kill_mode != "process":
        yield f"KillMode={kill_mode} kills every service when its process dies", "KillMode=process"
    if settings.get("Restart", "no") == "no":
        yield "Restart= is missing: nobody starts it again when it dies", "Restart=always"
    if is_holder and settings.get("Delegate", "no") in ("no", "false", "0", "off"):
        yield "Delegate= is missing: services get no control groups of their own", "Delegate=yes"
    program = unit.words[0]
    if not os.access(program, os.X_OK):
        yield f"{program} cannot be executed", "weaver startup writes the units anew"
    if not is_holder and not unit.is_enabled:
        yield "it is not enabled: nothing starts it at boot", f"systemctl enable {name}"


def _read(path: Path) -> dict[str, str]:
    """Read the settings of a unit and its drop-ins; of several, the last one counts."""
    found: dict[str, str] = {}
    for file in (path, *sorted(path.with_name(f"{path.name}.d").glob("*.conf"))):
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            key, equals, value = line.partition("=")
            if equals and not line.lstrip().startswith(("#", ";")):
                found[key.strip()] = value.strip()
    return found


def _command(words: Sequence[str]) -> str:
    return " ".join(_word(word).replace("$", "$$") for word in words)


def _word(text: str) -> str:
    """Quote a word as systemd reads it.

    >>> _word("/srv/app"), _word("/my 100%")
    ('/srv/app', '"/my 100%%"')
    """
    escaped = _escaped(text).replace("\\", "\\\\").replace('"', '\\"')
    is_plain = re.fullmatch(r"[\w@%+=:,./-]+", text) is not None
    return escaped if is_plain else f'"{escaped}"'


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
