"""What can be checked without a daemon: the tools, the repository, the manifests."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from reconciler.api.human import count
from reconciler.cli import units
from reconciler.cli.author import author
from reconciler.cli.gitcli import git, top_level
from reconciler.cli.proposal import remote_name
from reconciler.ports import HostError
from reconciler.runtime import followed
from reconciler.runtime.control import Finding, Grade

PYTHON = (3, 11)
GIT = (2, 34)
LEAST_FREE = 100 << 20


def local_findings(root: Path, state: Path) -> Iterator[Finding]:
    """Look at everything that needs no daemon."""
    yield _python()
    yield _pidfd()
    elsewhere = _followed(state)
    yield from _git(root, elsewhere)
    if elsewhere is None:
        yield _services(root)
    yield _disk(state)
    yield from _units(root)


def _python() -> Finding:
    """Look at the interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= PYTHON:
        return Finding(check="python", grade=Grade.OK, text=f"Python {version}")
    return Finding(
        check="python",
        grade=Grade.PROBLEM,
        text=f"Python {version} is too old",
        mend="use Python 3.11 or newer",
    )


def _pidfd() -> Finding:
    """Look whether the kernel can hold processes by descriptor."""
    if hasattr(os, "pidfd_open"):
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError as error:
            why = f"pidfd_open: {error.strerror}"
        else:
            return Finding(check="kernel", grade=Grade.OK, text=f"Linux {os.uname().release}")
    else:
        why = f"{os.uname().sysname} has no pidfd_open"
    return Finding(
        check="kernel",
        grade=Grade.PROBLEM,
        text=f"services cannot run here: {why}",
        mend="use Linux 5.4 or newer; validate, diff and graph work here all the same",
    )


def _git(root: Path, elsewhere: Finding | None) -> Iterator[Finding]:
    """Look at git, the repository - the one `elsewhere`, where there is one - and the identity."""
    if shutil.which("git") is None:
        yield Finding(
            check="git", grade=Grade.PROBLEM, text="git is not on PATH", mend="install git"
        )
        return
    said = (git(root, "--version") or "").split()
    version = next((word for word in said if word[:1].isdigit()), "0")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < GIT:
        yield Finding(
            check="git",
            grade=Grade.WARNING,
            text=f"git {version} is older than 2.34",
            mend="use a newer git",
        )
    else:
        yield Finding(check="git", grade=Grade.OK, text=f"git {version}")
    yield elsewhere or _repository(root)
    yield _identity(root)


def _followed(state: Path) -> Finding | None:
    """Say which branch elsewhere is followed; None where it is the files of this repository."""
    try:
        noted = followed.read(state)
    except HostError as why:
        return Finding(check="repository", grade=Grade.PROBLEM, text=str(why), mend=why.mend)
    if noted is None:
        return None
    text = f"{noted.branch} of {remote_name(noted.url)} is followed"
    return Finding(check="repository", grade=Grade.OK, text=text)


def _repository(root: Path) -> Finding:
    """Look whether the manifests are in a git repository, and the state is not."""
    top = top_level(root)
    if top is None:
        return Finding(
            check="repository",
            grade=Grade.PROBLEM,
            text=f"{root} is in no git repository",
            mend=f"weaver init {root}",
        )
    if git(root, "check-ignore", "--quiet", ".weaver/x") is None:
        return Finding(
            check="repository",
            grade=Grade.WARNING,
            text="git does not ignore .weaver/",
            mend="echo .weaver/ >> .gitignore",
        )
    branch = git(root, "symbolic-ref", "--short", "--quiet", "HEAD") or "a detached HEAD"
    return Finding(check="repository", grade=Grade.OK, text=f"{top}, on {branch}")


def _identity(root: Path) -> Finding:
    """Look whether commits will bear the person's name."""
    who = author(str(root))
    if who is None:
        return Finding(
            check="identity",
            grade=Grade.WARNING,
            text=f"git knows no name for you; your commits will be by uid:{os.getuid()}",
            mend="git config --global user.name NAME; git config --global user.email ADDRESS",
        )
    return Finding(check="identity", grade=Grade.OK, text=f"{who['name']} <{who['email']}>")


def _services(root: Path) -> Finding:
    """Look whether there is anything to run."""
    folder = root / "services.d"
    if not folder.is_dir():
        return Finding(
            check="services.d",
            grade=Grade.WARNING,
            text=f"{folder} is not there",
            mend="weaver init",
        )
    files = [path for path in folder.rglob("*") if path.suffix in {".yaml", ".yml", ".json"}]
    return Finding(check="services.d", grade=Grade.OK, text=count(len(files), "manifest file"))


def _units(root: Path) -> Iterator[Finding]:
    """Look at the units of systemd that run this repository, if there are any."""
    for unit in units.find(root.resolve(), (units.SYSTEM_FOLDER, units.user_folder())):
        faults = [*units.faults(unit)]
        check = "systemd"
        for text, mend in faults:
            said = f"{unit.path.name}: {text}"
            yield Finding(check=check, grade=Grade.WARNING, text=said, mend=mend)
        if not faults:
            yield Finding(check=check, grade=Grade.OK, text=f"{unit.path.name} is as it should be")


def _disk(state: Path) -> Finding:
    """Look for room to write the record and the logs."""
    place = state if state.exists() else state.parent
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE:
        return Finding(
            check="disk",
            grade=Grade.WARNING,
            text=f"{free >> 20} MiB free at {place}",
            mend="make room: logs and the record cannot be written to a full disk",
        )
    return Finding(check="disk", grade=Grade.OK, text=f"{free >> 30} GiB free at {place}")
