#!/usr/bin/env python3
"""Make .venv from the hash-pinned requirements, with nothing but Python, git and make.

    python3 tools/bootstrap.py up       what running Weaver needs
    python3 tools/bootstrap.py check    and what the tools and the fast tests need
    python3 tools/bootstrap.py test     and the programs that the tests run for real

It is started by whatever `python3` the machine has, so it keeps to what Python 3.6 understands:
only then can an old machine be told what it lacks. A stamp in .venv makes the second run quick.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Callable, Dict, List, Optional, Sequence, Tuple

Version = Tuple[int, ...]
Command = List[str]

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_BIN = os.path.join(VENV, "bin")
VENV_PYTHON = os.path.join(VENV_BIN, "python")
STAMP = os.path.join(VENV, "weaver-bootstrap.json")

NEEDED = (3, 11)
NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python")
REQUIREMENTS = {"up": "requirements.txt", "dev": "requirements-dev.txt"}
# What else decides how the environment comes out.
PROJECT_FILES = ("launcher/weaver", "tools/bootstrap.py")
# A `#!` line may be this long; older kernels cut it off without a word.
SHEBANG_LIMIT = 127

# Debian package: a program by which it is known to be there.
TEST_PACKAGES = {
    "nginx": "nginx",
    "nodejs": "node",
    "openssh-server": "sshd",
    "postgresql": "pg_lsclusters",
    "prometheus": "promtool",
    "redis-server": "redis-server",
    "runit": "runsvdir",
    "s6": "s6-svscan",
    "sqlite3": "sqlite3",
}
POLICY = "/usr/sbin/policy-rc.d"

# In a virtual environment the base executable is the interpreter behind it.
ASK_PYTHON = """
import sys
print(getattr(sys, "_base_executable", "") or sys.executable)
print(*sys.version_info[:3])
"""

WHAT_NEXT = f"""
Weaver now runs the services of services.d/ in this terminal; Ctrl-C stops them. In another, type

    export PATH="{VENV_BIN}:$PATH"
    weaver status        what runs, and what the rest waits for
    weaver --help        everything else
"""


class CannotError(Exception):
    """What stands in the way, as the one sentence that is shown."""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def succeeds(*command: str) -> bool:
    """Run a command quietly and tell whether it succeeded."""
    nothing = subprocess.DEVNULL
    try:
        return subprocess.call(command, stdin=nothing, stdout=nothing, stderr=nothing) == 0
    except OSError:
        return False


# --- the machine ---


def system_fault(system: str) -> str:
    """Say what is wrong with this operating system, or nothing.

    >>> system_fault("Linux")
    ''
    """
    if system == "Linux":
        return ""
    shown = "macOS" if system == "Darwin" else system
    return (
        f"cannot set up weaver: it needs Linux and this is {shown}; "
        "use a Linux machine, virtual machine or container"
    )


def version_fault(found: Sequence[Tuple[Version, str]]) -> str:
    """Say what is wrong with the Pythons of this machine, or nothing.

    >>> version_fault([((3, 10, 13), "/usr/bin/python3.10"), ((3, 11, 2), "/usr/bin/python3.11")])
    ''
    """
    if any(version >= NEEDED for version, _ in found):
        return ""
    seen = ", ".join(f"{'.'.join(map(str, version))} ({path})" for version, path in found)
    return (
        f"cannot set up weaver: it needs Python 3.11 or newer and here is {seen or 'none'}; "
        "install python3.11 or newer (Debian 12 and Ubuntu 24.04 have it) and run make again"
    )


def interrogate(program: str) -> Optional[Tuple[Version, str]]:
    """Ask an interpreter for its version and real path, past any version manager's shim."""
    try:
        answer = subprocess.check_output([program, "-c", ASK_PYTHON], stderr=subprocess.DEVNULL)
        path, version = answer.decode().splitlines()
        return tuple(map(int, version.split())), os.path.realpath(path)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def find_python() -> str:
    """Find the first Python on PATH that is new enough.

    Its real path counts: a version manager's shim would cost 100 ms at every start.
    """
    found = []
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for program in (os.path.join(folder, name) for name in NAMES for folder in folders):
        answer = interrogate(program) if os.access(program, os.X_OK) else None
        if answer and answer[0] >= NEEDED:
            return answer[1]
        if answer and answer not in found:
            found.append(answer)
    raise CannotError(version_fault(found))


# --- the virtual environment: each rung makes it, and gives the command that installs into it ---


def with_what_is_there(_python: str) -> Optional[Command]:
    """Bring an environment made here up to date in place: Weaver may be running from it."""
    if read_stamp().get("venv") == VENV and succeeds(VENV_PYTHON, "-m", "pip", "--version"):
        return pip_install(VENV_PYTHON, "-m", "pip")
    return None


def with_uv(python: str) -> Optional[Command]:
    """Make the environment with uv, where that is on PATH."""
    uv = shutil.which("uv")
    if uv and succeeds(uv, "venv", "--clear", "--python", python, VENV):
        return [uv, "pip", "install", "--quiet", "--python", VENV_PYTHON]
    return None


def with_ensurepip(python: str) -> Optional[Command]:
    """Make it with the standard library alone."""
    if not (make_bare(python) and succeeds(VENV_PYTHON, "-m", "ensurepip", "--default-pip")):
        return None
    # On Python 3.11 it brings setuptools, whose .pth file runs code at every start.
    succeeds(VENV_PYTHON, "-m", "pip", "uninstall", "--yes", "setuptools")
    return pip_install(VENV_PYTHON, "-m", "pip")


def with_outer_pip(python: str) -> Optional[Command]:
    """Make it with the pip beside its interpreter: Debian splits ensurepip off."""
    pip = (python, "-m", "pip", "--python", VENV_PYTHON)
    if make_bare(python) and succeeds(*pip, "--version"):
        return pip_install(*pip)
    return None


def with_apt(python: str) -> Optional[Command]:
    """Install what Debian split off, where that is allowed, and try again."""
    answer = interrogate(python)
    if not (answer and os.geteuid() == 0 and shutil.which("apt-get")):
        return None
    major, minor = answer[0][:2]
    say("installing python3-venv: this Python has neither ensurepip nor pip")
    if apt_install([f"python{major}.{minor}-venv"]) or apt_install(["python3-venv"]):
        return with_ensurepip(python)
    return None


Rung = Callable[[str], Optional[Command]]
LADDER: Tuple[Rung, ...] = (
    with_what_is_there,
    with_uv,
    with_ensurepip,
    with_outer_pip,
    with_apt,
)


def make_bare(python: str) -> bool:
    """Make an environment without pip in it."""
    return succeeds(python, "-m", "venv", "--clear", "--without-pip", VENV)


def pip_install(*pip: str) -> Command:
    """Give the install command of a pip; byte code is made afterwards, on all cores."""
    quiet = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]
    return [*pip, "install", *quiet, "--no-compile"]


def make_venv(python: str, requirements: str) -> None:
    """Climb the ladder to the first rung that makes the environment and fills it."""
    if os.path.lexists(VENV) and not os.path.exists(os.path.join(VENV, "pyvenv.cfg")):
        raise CannotError(f"cannot make {VENV}: something else has that name; move it away")
    for rung in LADDER:
        installer = rung(python)
        if not installer:
            continue
        if fill(installer, requirements):
            return
        # uv reads other settings than pip, so pip may reach an index where uv does not.
        if rung is with_uv:
            say("uv could not install; trying pip")
        else:
            raise CannotError(
                f"cannot install {requirements}: pip says why above; is the package index "
                "reachable, and is there room on the disk? (make clean removes a broken .venv)"
            )
    raise CannotError(
        f"cannot make {VENV}: {python} has neither ensurepip nor pip, and there is no uv; "
        "install python3-venv (apt-get install python3-venv) and run make again"
    )


def fill(installer: Command, requirements: str) -> bool:
    """Install exactly the pinned packages, then this checkout, editable."""
    pinned = [*installer, "--require-hashes", "-r", os.path.join(ROOT, requirements)]
    project = [*installer, "--no-deps", "--no-build-isolation", "-e", ROOT]
    return subprocess.call(pinned) == 0 and subprocess.call(project) == 0


def mend_launcher() -> None:
    """Start the launcher through sh where its first line would be too long or hold a blank."""
    if " " not in VENV_PYTHON and len(f"#!{VENV_PYTHON}\n") <= SHEBANG_LIMIT:
        return
    with open(os.path.join(ROOT, "launcher", "weaver")) as file:
        body = "".join(file.readlines()[1:])
    # To sh the second line is a command, to Python it is a string.
    head = f"#!/bin/sh\n'''exec' \"{VENV_PYTHON}\" \"$0\" \"$@\"\n' '''\n"
    with open(os.path.join(VENV_BIN, "weaver"), "w") as file:
        file.write(head + body)


def compile_all(folder: str, jobs: int) -> None:
    """Byte-compile what is newer than its byte code.

    Where PYTHONDONTWRITEBYTECODE is set nothing else does, and each start would take 50 ms more.
    """
    subprocess.call([VENV_PYTHON, "-m", "compileall", "-q", "-j", str(jobs), folder])


# --- the stamp ---


def digest(*names: str) -> str:
    """Hash files of the checkout."""
    total = hashlib.sha256()
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def stamp_of(kind: str) -> Dict[str, str]:
    """Say what an environment of this kind is made from, and where."""
    return {
        "kind": kind,
        "requirements": digest(REQUIREMENTS[kind]),
        "project": digest(*PROJECT_FILES),
        "venv": VENV,
    }


def read_stamp() -> Dict[str, str]:
    """Read what .venv says it was made from; nothing when it was not made here."""
    try:
        with open(STAMP) as file:
            return dict(json.load(file))
    except (OSError, ValueError):
        return {}


def is_made(kind: str) -> bool:
    """Tell whether .venv is what it should be; that of the tests serves `up` as well."""
    return read_stamp() in (stamp_of(kind), stamp_of("dev")) and succeeds(VENV_PYTHON, "-c", "")


def ensure_venv(kind: str) -> None:
    """Make .venv unless it is there, and give every module its byte code."""
    if not is_made(kind):
        python = find_python()
        say(f"setting up .venv with {python} from {REQUIREMENTS[kind]}")
        make_venv(python, REQUIREMENTS[kind])
        mend_launcher()
        compile_all(os.path.join(VENV, "lib"), jobs=0)
        with open(STAMP, "w") as file:
            json.dump(stamp_of(kind), file)
    compile_all(os.path.join(ROOT, "reconciler"), jobs=1)


# --- the programs that tests run ---


def missing(packages: Dict[str, str]) -> List[str]:
    """List the Debian packages whose programs are not there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return [name for name, program in packages.items() if not shutil.which(program, path=path)]


def apt_install(packages: List[str]) -> bool:
    """Install Debian packages without a question, and without starting their daemons."""
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    forbid_starts = not os.path.exists(POLICY)
    if forbid_starts:
        with open(POLICY, "w") as file:
            file.write("#!/bin/sh\nexit 101\n")
        os.chmod(POLICY, 0o755)
    try:
        succeeds("apt-get", "update", "-qq")
        return succeeds("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    finally:
        if forbid_starts:
            os.remove(POLICY)


def ensure_programs(packages: Dict[str, str], users: str) -> None:
    """Install what `users` run for real, or say which of them will be skipped, and why."""
    wanted = missing(packages)
    if not wanted:
        return
    names = " ".join(wanted)
    if not shutil.which("apt-get"):
        say(f"{users} that need {names} will be skipped: there is no apt-get here")
    elif os.geteuid() != 0:
        say(f"{users} that need {names} will be skipped: only root can apt-get install {names}")
    else:
        say(f"installing {names} for the {users}")
        if not apt_install(wanted):
            left = " ".join(missing(packages))
            say(f"{users} that need {left} will be skipped: apt-get install failed")


def prepare(mode: str) -> None:
    """Bring the checkout to where `make` can do what was asked for."""
    fault = system_fault(platform.system())
    if fault:
        raise CannotError(fault)
    ensure_venv("up" if mode == "up" else "dev")
    if mode == "test":
        ensure_programs(TEST_PACKAGES, "tests")
    if mode == "up":
        say(WHAT_NEXT)


def main(arguments: Sequence[str]) -> int:
    """Prepare one of the modes, or say in one sentence why that cannot be done."""
    if len(arguments) != 1 or arguments[0] not in ("up", "check", "test"):
        say("usage: bootstrap.py up|check|test")
        return 2
    try:
        prepare(arguments[0])
    except CannotError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
