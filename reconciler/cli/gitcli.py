"""The few git commands that prepare a repository; everything else is the daemon's."""

from __future__ import annotations

import subprocess
from pathlib import Path

from reconciler.cli import exits
from reconciler.cli.errors import CommandError

_OURS = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false")


def git(directory: Path, *arguments: str) -> str | None:
    """Run git quietly and give what it printed; None where it failed."""
    try:
        said = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise CommandError(
            "cannot find git", mend="install git (apt-get install git)", code=exits.FAILED
        ) from None
    return said.stdout.strip() if said.returncode == 0 else None


def top_level(directory: Path) -> Path | None:
    """Give the top of the work tree around a directory; None where there is none."""
    found = git(directory, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def create(directory: Path) -> None:
    """Make a repository with the branch `main`."""
    if git(directory, "init", "--quiet", "--initial-branch=main") is None:
        raise CommandError(f"cannot make a git repository in {directory}", mend="git init, by hand")


def first_commit(directory: Path, paths: list[str], subject: str) -> str | None:
    """Commit these files of a repository just made; None where git has no identity to use."""
    if git(directory, "add", "--", *paths) is None:
        return None
    if git(directory, *_OURS, "commit", "--quiet", "-m", subject) is None:
        return None
    return git(directory, "rev-parse", "--short=7", "HEAD")
