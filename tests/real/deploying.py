"""A bare repository that people push to, a clone of one of them, and the home of a daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from reconciler import app
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths
from tests.real.station import QUICK, SLEEP, Station

ROOT = Path(__file__).resolve().parents[2]


class Deployment(Station):
    """Everything that `git push` is the deploy of; its own root is the clone."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.home = folder / "deploy.git", folder / "home"
        self.home.mkdir(parents=True)
        (folder / "clone").mkdir()
        super().__init__(folder / "clone")
        self.git("remote", "add", "origin", str(self.bare))
        self.options = UpOptions(root=self.home)

    @property
    def paths(self) -> StatePaths:
        return StatePaths.of(self.home)

    def weaver(self, *words: str, code: int = 0) -> str:
        """Run the command line in the home, and give all that it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *words],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def follow(self, *words: str) -> str:
        """Begin to follow the bare repository, and give what was said."""
        return self.weaver("up", "--repo", str(self.bare), "--detach", *words)

    def push(self, *words: str, refused: bool = False) -> list[str]:
        """Push main as it is, and give what the other side said."""
        command = ["git", "-C", str(self.root), "push", *words, "origin", "HEAD:main"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert bool(done.returncode) is refused, done.stderr
        lines = done.stderr.splitlines()
        return [line[8:].rstrip() for line in lines if line.startswith("remote: ")]

    def deploy(self, name: str, command: str = SLEEP, more: str = "") -> list[str]:
        """Write a manifest, commit and push it."""
        self.file(name).write_text(f"name: {name}\ncommand: {command}\n{QUICK}{more}")
        self.commit()
        return self.push()

    def down(self) -> None:
        """End what runs, if anything does."""
        if app.find_running(self.options) is not None:
            self.weaver("down")


def run(*words: str, author: str = "Ada") -> None:
    """Run a command as a person whom git knows by this name."""
    person = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", author), ("EMAIL", f"{author.lower()}@example.org"))
    }
    subprocess.run(words, env={**os.environ, **person}, check=True)
