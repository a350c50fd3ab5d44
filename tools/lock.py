"""Write the requirements files: every version pinned, every file by its hash.

No address of a registry gets into them: whoever installs names the index, and the hashes decide.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Dependency group, file, and what else goes in: the project's own dependencies, or nothing.
FILES = (
    ("build", "requirements.txt", ("pyproject.toml",)),
    ("dev", "requirements-dev.txt", ("pyproject.toml", "--constraint", "requirements.txt")),
    ("peers", "benchmarks/peers/requirements.txt", ()),
)
# Universal: one file for every Python from the floor on. The header would repeat index options.
COMPILE = ("pip", "compile", "--quiet", "--universal", "--python-version", "3.11")
FORM = ("--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links")


def find_uv(scratch: Path) -> str:
    """Give uv from PATH, else one installed for this run only."""
    if uv := shutil.which("uv"):
        return uv
    subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
    subprocess.run([scratch / "bin/pip", "install", "--quiet", "uv"], check=True)
    return str(scratch / "bin/uv")


def main(arguments: list[str]) -> None:
    """Pin the newest allowed versions; the development file repeats the pins of the other."""
    with tempfile.TemporaryDirectory() as scratch:
        uv = find_uv(Path(scratch))
        for group, name, more in FILES:
            command = [uv, *COMPILE, *FORM, "--upgrade", "--group", group, *more]
            subprocess.run(
                [*command, "--output-file", name, *arguments],
                check=True,
                cwd=ROOT,
                env={**os.environ, "UV_NO_PROGRESS": "1"},
            )


if __name__ == "__main__":
    main(sys.argv[1:])
