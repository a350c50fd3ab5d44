"""Start git with fixed arguments, an environment of our own, a deadline, and nothing else.

A repository is hostile input: its configuration may name programs (hooks, fsmonitor, ssh, remote
helpers). None of them runs at our commands, and no command may hang, ask or outlive its deadline.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache
from typing import IO

from reconciler.adapters.git.checkout import Repo
from reconciler.ports import HostError

DEADLINE_S = 20.0
OLDEST_GIT = (2, 34)

_SETTINGS = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.fsync", "all"),
    ("core.pager", "cat"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("trailer.separators", ":"),
)
"""What overrides the repository's own configuration at each of our commands."""


class GitFailedError(HostError):
    """A git command ended with another code than those that were expected."""

    def __init__(self, text: str, words: str = "", *, mend: str = "") -> None:
        super().__init__(text, mend=mend)
        self.words = words
        """Git's own complaint."""


class GitSilentError(HostError):
    """A git command did not end in time; it was killed."""


def environment(repo: Repo | None = None) -> dict[str, str]:
    """Give the whole environment of a git child: nothing is inherited but PATH and HOME.

    The repository is named outright, so git neither searches for one nor trusts what it finds;
    `GIT_ALLOW_PROTOCOL` keeps a partial clone from fetching what it lacks.
    """
    names = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
    }
    for number, (key, value) in enumerate(_SETTINGS):
        names[f"GIT_CONFIG_KEY_{number}"] = key
        names[f"GIT_CONFIG_VALUE_{number}"] = value
    if repo is not None:
        names["GIT_DIR"] = str(repo.git_dir)
        names |= repo.objects
    if repo is not None and repo.work_tree is not None:
        names["GIT_WORK_TREE"] = str(repo.work_tree)
    return names


def run(
    repo: Repo | None,
    *arguments: str,
    stdin: bytes = b"",
    accept: Collection[int] = (0,),
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """Run one git command and give what it printed. Raises HostError with git's own words."""
    require_git()
    env = environment(repo) | dict(extra or {})
    cwd = str(repo.place) if repo else None
    return run_in(env, arguments, stdin=stdin, accept=accept, cwd=cwd, deadline_s=DEADLINE_S)


def run_in(
    env: Mapping[str, str],
    arguments: tuple[str, ...],
    *,
    stdin: bytes = b"",
    accept: Collection[int] = (0,),
    cwd: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> bytes:
    """Run one git command in an environment that was made for it, as `run` does."""
    code, out, err = converse(env, arguments, stdin=stdin, cwd=cwd, deadline_s=deadline_s)
    if code not in accept:
        words = words_of(err.decode(errors="replace"), code)
        raise GitFailedError(f"cannot run git {arguments[0]}: {words}", words)
    return out


def converse(
    env: Mapping[str, str],
    arguments: tuple[str, ...],
    *,
    stdin: bytes = b"",
    cwd: str | None = None,
    deadline_s: float = DEADLINE_S,
    file_limit: int | None = None,
) -> tuple[int, bytes, bytes]:
    """Run one git command; give how it ended, what it printed, and what it complained of.

    `file_limit` is what each file that it or its children write may have, in bytes.
    """
    child = start(env, arguments, cwd=cwd)
    return attend(child, arguments[0], stdin=stdin, deadline_s=deadline_s, file_limit=file_limit)


def attend(
    child: subprocess.Popen[bytes],
    verb: str,
    *,
    stdin: bytes = b"",
    deadline_s: float = DEADLINE_S,
    file_limit: int | None = None,
) -> tuple[int, bytes, bytes]:
    """See a child of `start` through to its end, as `converse` does."""
    if file_limit is not None:
        with suppress(ProcessLookupError):
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (file_limit, file_limit))
    try:
        out, err = child.communicate(stdin, timeout=deadline_s)
    except subprocess.TimeoutExpired:
        raise GitSilentError(
            f"cannot run git {verb}: no answer within {deadline_s:g} s",
            mend="check the disk that holds the repository",
        ) from None
    finally:
        end(child)
    return child.returncode, out, err


def start(
    env: Mapping[str, str], arguments: tuple[str, ...], *, cwd: str | None = None
) -> subprocess.Popen[bytes]:
    """Start git in a session of its own, so that no Ctrl-C of ours reaches it."""
    try:
        return subprocess.Popen(
            ["git", *arguments],
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise HostError(
            f"cannot run git: it is not on PATH ({env.get('PATH', '')})",
            mend=f"install git {_dotted(OLDEST_GIT)} or newer",
        ) from None


def pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    """Give the pipes that every child of `start` has: its input, output and complaints."""
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    return child.stdin, child.stdout, child.stderr


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a child and all it started, unless it has ended."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def end(child: subprocess.Popen[bytes]) -> None:
    """Make sure that a child and all it started are gone, and its pipes closed."""
    kill(child)
    child.wait()
    for pipe in pipes(child):
        with suppress(BrokenPipeError):
            pipe.close()


@cache
def require_git() -> None:
    """Refuse a git that does not know the protections we rely on; asked once."""
    text = run_in(environment(), ("version",)).decode(errors="replace")
    found = re.match(r"git version (\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GIT:
        raise HostError(
            f"cannot use {text.strip()!r}: it is too old",
            mend=f"install git {_dotted(OLDEST_GIT)} or newer",
        )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def words_of(complaint: str, code: int) -> str:
    """Give the line of git's complaint that says what is wrong."""
    lines = [line for line in complaint.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines
    if not telling:
        return f"it ended with {code}"
    return telling[0].removeprefix("fatal: ").removeprefix("error: ")
