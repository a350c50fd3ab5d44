"""Make a folder a git repository, where it is not in one yet."""

from __future__ import annotations

from pathlib import Path

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.plumbing import run
from reconciler.ports import NotFoundError

BRANCH = "main"


def git_init(directory: Path) -> bool:
    """Run `git init -b main` unless the folder is in a repository; tell whether it was run."""
    try:
        locate(directory)
    except NotFoundError:
        run(None, "init", "-q", "-b", BRANCH, "--", str(directory.resolve()))
        return True
    return False
