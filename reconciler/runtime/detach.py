"""Start a daemon that belongs to nobody's terminal, and wait until it answers or fails."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import reconciler
from reconciler.failpoints import failpoint
from reconciler.ports import ConflictError, HostError
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths

READY_WITHIN_S = 30.0
_KEPT = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR LD_LIBRARY_PATH SSH_AUTH_SOCK
    GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM
""".split()  # noqa: SIM905 - read at a glance
_KEPT_FAMILIES = ("LC_", "XDG_", "GIT_AUTHOR_", "GIT_COMMITTER_", "WEAVER_FAILPOINT")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PACKAGES = str(Path(reconciler.__file__).resolve().parents[1])


def start(module: str, options: UpOptions, log: Path) -> int:
    """Start `python -m MODULE` for these options and give its pid once it says that it is ready.

    It gets a session of its own and none of the caller's descriptors; what it prints before its
    log is open goes to that log. Raises HostError where it fails, with what it said.
    """
    ready, its_end = os.pipe()
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *words(options), "--ready", str(its_end)],
                cwd="/",
                env={**os.environ, "PYTHONPATH": _PACKAGES},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[its_end],
                start_new_session=True,
            )
    except OSError as why:
        os.close(ready)
        raise HostError(f"cannot start the daemon: {why}") from why
    finally:
        os.close(its_end)
    said = _hear(ready)
    if said == b"ready":
        process.returncode = 0  # it is on its own from here; not ours to wait for
        return process.pid
    return _explain(process, said.decode("utf-8", "replace"), log)


def words(options: UpOptions) -> Sequence[str]:
    """Give options as the words of a command line; see `app.main`."""
    found = ["--root", str(options.root)]
    if options.state_dir is not None:
        found += ["--state-dir", str(options.state_dir)]
    for name in options.only:
        found += ["--only", name]
    if options.comes_back:
        found += ["--comes-back"]
    return found


def comeback(module: str, options: UpOptions, paths: StatePaths) -> dict[str, Any] | None:
    """Give how the holder starts this daemon again when it dies; None where it shall not."""
    if not options.comes_back:
        return None
    return {
        "argv": [sys.executable, "-P", "-m", module, *words(options)],
        "env": {**kept_environment(os.environ), "PYTHONPATH": _PACKAGES},
        "log": str(paths.daemon_log),
        "lock": paths.daemon_lock[1:].decode(),
    }


def cannot_begin() -> str:
    """Say why the program as it is installed now cannot take the place of this one."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", "import reconciler.app.life"],
            cwd="/",
            env={**os.environ, "PYTHONPATH": _PACKAGES},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=READY_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as why:
        return str(why)
    said = done.stderr.decode("utf-8", "replace").strip().split("\n")
    return said[-1] if done.returncode else ""


def replace_program() -> NoReturn:
    """Execute the program as it is installed now, in the place of this one."""
    words = [*sys.orig_argv[1:]]
    if "--ready" in words:
        # Whoever waited for that was told long ago.
        at = words.index("--ready")
        del words[at : at + 2]
    failpoint("daemon.reexec.before")
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - no shell is wanted


def kept_environment(found: Mapping[str, str]) -> dict[str, str]:
    """Give what a daemon needs of its environment: nothing of a service, a hook or a unit.

    >>> kept_environment({"HOME": "/root", "LC_ALL": "C", "WEAVER_RUN": "f00", "GIT_DIR": "x"})
    {'HOME': '/root', 'LC_ALL': 'C'}
    """
    return {
        name: value
        for name, value in found.items()
        if name in _KEPT or name.lower() in _PROXIES or name.startswith(_KEPT_FAMILIES)
    }


def _hear(ready: int) -> bytes:
    """Read what the daemon says until it closes the pipe; nothing when time is up."""
    said = b""
    try:
        while select.select([ready], [], [], READY_WITHIN_S)[0]:
            chunk = os.read(ready, 4096)
            if not chunk or (said := said + chunk) == b"ready":
                break
    finally:
        os.close(ready)
    return said


def _explain(process: subprocess.Popen[bytes], said: str, log: Path) -> int:
    """Say why it is not there."""
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.returncode = 0
        raise HostError(
            f"the daemon ({process.pid}) does not answer yet", mend=f"see {log}"
        ) from None
    kind, _, text = said.partition(" ")
    if kind == "10":
        raise ConflictError(text, mend="`weaver status` talks to it; `weaver down` ends it")
    raise HostError(
        text or f"cannot start the daemon: it ended with {process.returncode}", mend=f"see {log}"
    )
