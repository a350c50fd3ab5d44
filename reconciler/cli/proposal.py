"""Give a branch with a proposed change to others: pushed as its owner would, forwards only."""

from __future__ import annotations

import shlex
import subprocess

from reconciler.cli import exits, screen
from reconciler.cli.errors import CommandError
from reconciler.cli.forges import request_url

_RACED = ("non-fast-forward", "fetch first", "stale info", "cannot lock ref")


def publish(root: str, branch: str, *, with_url: bool) -> int:
    """Push a branch where there is a remote, and say where a pull request is opened."""
    if _git(root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").returncode:
        return exits.OK  # There was nothing to commit.
    current = _said(root, "symbolic-ref", "--short", "HEAD")
    remote = _remote(root, current)
    if not remote:
        screen.err(f"{branch} is not pushed: this repository has no remote")
        return exits.OK
    _push(root, remote, branch)
    screen.err(f"pushed: {shlex.join(('git', 'push', remote, branch))}")
    if with_url:
        screen.err(_where(_said(root, "remote", "get-url", remote), branch, current))
    return exits.OK


def _push(root: str, remote: str, branch: str) -> None:
    """Push a branch, never by force. Raises CommandError; the commit stays where it is then."""
    name = f"refs/heads/{branch}"
    pushed = _git(root, "push", "--porcelain", remote, f"{name}:{name}")
    if not pushed.returncode:
        return
    kept = f"cannot push {branch} to {remote}, it is committed here only"
    words = [line.strip() for line in pushed.stderr.splitlines() if line.strip()]
    refused = [line for line in pushed.stdout.splitlines() if line.startswith("!\t")]
    if any(sign in line for line in refused for sign in _RACED):
        raise CommandError(
            f"{kept}: {branch} has commits there that are not here",
            mend="name another branch; or fetch that one, and merge both in a clone",
            code=exits.CONFLICT,
        )
    command = shlex.join(("git", "push", remote, branch))
    code = exits.FORBIDDEN if refused else exits.FAILED
    raise CommandError(kept, mend=command, code=code, details=words[:10])


def _where(url: str, branch: str, base: str) -> str:
    page = request_url(url, branch, base or "main")
    if page:
        return f"open the pull request: {page}"
    return f"open a pull request from {branch} into {base or 'main'} where {remote_name(url)} lives"


def remote_name(url: str) -> str:
    """Give a remote's address without a name or password in it.

    >>> remote_name("https://ada:secret@example.org/shop")
    'https://example.org/shop'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _remote(root: str, current: str) -> str:
    """Give the remote that the current branch goes to, else origin, else the only one."""
    upstream = _said(root, "config", f"branch.{current}.remote") if current else ""
    if upstream and upstream != ".":
        return upstream
    remotes = _said(root, "remote").split()
    if "origin" in remotes:
        return "origin"
    return remotes[0] if len(remotes) == 1 else ""


def _said(root: str, *arguments: str) -> str:
    done = _git(root, *arguments)
    return "" if done.returncode else done.stdout.strip()


def _git(root: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", root, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise CommandError(f"cannot run git: {error}", code=exits.FAILED) from error
