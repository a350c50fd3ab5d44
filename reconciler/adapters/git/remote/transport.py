"""Talk to another repository: as the person would, but never for longer than it may take.

The configuration that counts here is the person's own (how they authenticate, their proxy) and
our mirror's, which we wrote; what the other side sends is checked before it is kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from reconciler.adapters.git import plumbing
from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.plumbing import GitSilentError
from reconciler.adapters.git.remote.address import SCHEMES, Address, shown
from reconciler.ports import HostError

LOOK_DEADLINE_S = 20.0
FETCH_DEADLINE_S = 300.0
PACK_LIMIT_BYTES = 512 << 20
"""Of what one fetch may bring: nobody shall fill the host's disk by a push elsewhere."""
SLOW_S = 20
"""So long may less than a kilobyte a second come by http before git gives up."""

_KEPT = (
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_SSL_CAINFO",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "USER",
    "LOGNAME",
    "XDG_CONFIG_HOME",
)
_KEPT_ANY_CASE = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_SETTINGS = {
    "protocol.allow": "never",
    **{f"protocol.{scheme}.allow": "always" for scheme in SCHEMES},
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": str(SLOW_S),
    "transfer.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    # All that a fetch brings is one file, which has a limit.
    "fetch.unpackLimit": "1",
    # What is larger is written as it comes, and not held in memory.
    "core.bigFileThreshold": "16m",
}
_MENDS = (
    ("Host key verification failed", "connect once by hand: `ssh HOST`, and accept its key"),
    ("Permission denied (publickey", "give the daemon's user a key that may read it"),
    ("could not read Username", "give git credentials: `git config --global credential.helper`"),
    ("Authentication failed", "renew the credentials that git has for it"),
    ("dubious ownership", "git config --global --add safe.directory FOLDER"),
    ("does not appear to be a git repository", "check the address"),
    ("Could not resolve host", "check the name, and the network"),
    ("not found", "check the address, and that the daemon's user may read it"),
)
"""Words of git's, and what helps."""


@dataclass(slots=True)
class _Line:
    """Who talks on behalf of one repository."""

    children: set[Popen[bytes]] = field(default_factory=set)
    is_closed: bool = False


_LINES: dict[Path, _Line] = {}
_TURN = threading.Lock()


def environment(repo: Repo) -> dict[str, str]:
    """Give the environment of a git child that talks to another repository."""
    env = plumbing.environment(repo)
    for name in ("GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_ALLOW_PROTOCOL"):
        del env[name]
    env["GIT_ALLOW_PROTOCOL"] = ":".join(SCHEMES)
    for name, value in os.environ.items():
        if name in _KEPT or name.lower() in _KEPT_ANY_CASE:
            env[name] = value
    first = int(env["GIT_CONFIG_COUNT"])
    for number, (key, value) in enumerate(_SETTINGS.items(), first):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    env["GIT_CONFIG_COUNT"] = str(first + len(_SETTINGS))
    return env


def talk(
    repo: Repo, address: Address, *arguments: str, deadline_s: float = LOOK_DEADLINE_S
) -> bytes:
    """Run one git command that talks to the repository at an address, and give what it printed.

    Raises HostError in words for a person, with no secret of the address in them.
    """
    code, out, err = ask(repo, address, *arguments, deadline_s=deadline_s)
    if code:
        raise unreachable(address, plumbing.words_of(err, code))
    return out


def ask(
    repo: Repo,
    address: Address,
    *arguments: str,
    deadline_s: float = LOOK_DEADLINE_S,
    extra: Mapping[str, str] | None = None,
    file_limit: int | None = None,
) -> tuple[int, bytes, str]:
    """Run such a command; give how it ended, what it printed, and what it complained of."""
    plumbing.require_git()
    env = environment(repo) | dict(extra or {})
    child = plumbing.start(env, arguments, cwd=str(repo.place))
    try:
        with _talking(repo, address, child):
            code, out, err = plumbing.attend(
                child, arguments[0], deadline_s=deadline_s, file_limit=file_limit
            )
    except GitSilentError as why:
        raise HostError(
            f"cannot reach {address}: no answer within {deadline_s:g} s",
            mend="it is tried again; check the network",
        ) from why
    return code, out, err.decode(errors="replace")


@contextmanager
def _talking(repo: Repo, address: Address, child: Popen[bytes]) -> Iterator[None]:
    """Let `hang_up` know of a child that talks to another repository."""
    with _TURN:
        line = _LINES.setdefault(repo.git_dir, _Line())
        line.children.add(child)
        is_closed = line.is_closed
    try:
        if is_closed:
            plumbing.end(child)
            raise HostError(f"cannot reach {address}: nobody waits for it any more")
        yield
    finally:
        with _TURN:
            line.children.discard(child)


def hang_up(git_dir: Path) -> None:
    """End all that talks on behalf of a repository of ours, and let nothing begin to."""
    with _TURN:
        line = _LINES.setdefault(git_dir, _Line())
        line.is_closed = True
        for child in line.children:
            # Whoever waits for it may have collected it just now.
            with suppress(ProcessLookupError):
                plumbing.kill(child)


def fetch(repo: Repo, address: Address, branch: str, into: str) -> None:
    """Bring a branch here, whatever became of it, as a reference of ours. Raises HostError."""
    wanted = f"+refs/heads/{branch}:{into}"
    code, _, err = ask(
        repo,
        address,
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"),
        *("--no-recurse-submodules", "origin", wanted),
        deadline_s=FETCH_DEADLINE_S,
        file_limit=PACK_LIMIT_BYTES,
    )
    if code:
        raise unreachable(address, plumbing.words_of(err, code))


def unreachable(address: Address, words: str) -> HostError:
    """Say, in git's words, why a repository cannot be reached, and what helps."""
    mend = next((mend for sign, mend in _MENDS if sign in words), "it is tried again")
    return HostError(f"cannot reach {address}: {shown(words)}", mend=mend)
