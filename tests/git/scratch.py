"""A scratch repository, worked on as a person would, with git's own commands."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

WEB = """\
# the shop's front door
name: web
command: python -m http.server ${PORT}
env:
  PORT: 8000  # behind nginx
  LOG_LEVEL: info
"""
DB = "name: db\ncommand: redis-server\n"

ANA = ("Ana", "ana@example.org")
BOB = ("Bob", "bob@example.org")


@dataclass(frozen=True)
class Scratch:
    """One work tree in a temporary folder."""

    top: Path
    root: Path

    def git(self, *arguments: str, person: tuple[str, str] = ANA, check: bool = True) -> str:
        """Run git as a person, with no configuration but the repository's own."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.top.parent),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_EDITOR": "true",
            "GIT_AUTHOR_NAME": person[0],
            "GIT_AUTHOR_EMAIL": person[1],
            "GIT_COMMITTER_NAME": person[0],
            "GIT_COMMITTER_EMAIL": person[1],
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.top, env=env, capture_output=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"git {arguments}: {done.stderr.decode()}")
        return done.stdout.decode(errors="surrogateescape")

    def path(self, name: str) -> Path:
        """Give a file below the root."""
        return self.root / name

    def write(self, name: str, text: str) -> Path:
        """Save a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str:
        """Read a file as saved."""
        return (self.root / name).read_text()

    def commit(self, message: str = "change", person: tuple[str, str] = ANA) -> str:
        """Commit everything, by hand."""
        self.git("add", "-A", person=person)
        self.git("commit", "-q", "--allow-empty", "-m", message, person=person)
        return self.head()

    def head(self) -> str:
        """Give HEAD's commit."""
        return self.git("rev-parse", "HEAD").strip()

    def at(self, revision: str, name: str) -> str:
        """Read a file of a revision; `:` is the index."""
        prefix = self.root.relative_to(self.top).as_posix()
        return self.git("show", f"{revision}:{'' if prefix == '.' else prefix + '/'}{name}")

    def status(self) -> list[str]:
        """Say what `git status` says, in short."""
        return self.git("status", "--porcelain=v1", "-uall").splitlines()

    def staged_entries(self) -> dict[str, str]:
        """Give every index entry: path to mode, blob and stage."""
        lines = self.git("ls-files", "-s", "-z").split("\0")
        return {path: facts for facts, _, path in (line.partition("\t") for line in lines) if path}

    def log(self, template: str = "%s") -> list[str]:
        """Give the commits, newest first."""
        return self.git("log", f"--format={template}").splitlines()

    def fsck(self) -> str:
        """Check the repository; empty when all is well."""
        return self.git("fsck", "--strict", "--no-dangling", "--no-progress")


def make(folder: Path, *, inner: str = "") -> Scratch:
    """Make an empty repository on branch main."""
    folder.mkdir(parents=True)
    scratch = Scratch(top=folder, root=folder / inner)
    scratch.git("init", "-q", "-b", "main")
    scratch.root.mkdir(exist_ok=True)
    return scratch
