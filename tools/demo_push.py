"""Show that `git push` is the deploy: a repository, a clone and a daemon in a temporary folder.

Every command is shown as it is typed, with what it prints; at the end everything is ended and
removed. Nothing outside of the folder is touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STEPS = """
# A repository to push to, and a clone of it with a manifest.
weaver init -q --bare deploy.git
git clone -q deploy.git shop 2>/dev/null
mkdir shop/services.d
printf 'name: api\\ncommand: python3 -m http.server 0\\n' > shop/services.d/api.yaml
git -C shop add .
git -C shop commit -qm 'Run the API'
git -C shop push -q origin HEAD:main

# A host that follows it from now on.
weaver up host --repo deploy.git --detach

# The push is the deploy, and tells how it goes.
printf 'env: {GREETING: hello}\\n' >> shop/services.d/api.yaml
git -C shop commit -qam 'Greet'
git -C shop push -q origin HEAD:main

# A manifest that is wrong does not get in.
printf 'comand: python3\\n' >> shop/services.d/api.yaml
git -C shop commit -qam 'Break it'
git -C shop push -q origin HEAD:main || true

weaver -C host status
"""


def main() -> None:
    """Play every step in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="weaver-demo-") as folder:
        env = _environment(Path(folder))
        try:
            for line in STEPS.strip().splitlines():
                _play(line, folder, env)
        finally:
            _run("weaver -C host down -q", folder, env)
    print(f"\n{folder} is gone again; README.md and docs/ have more")


def _environment(folder: Path) -> dict[str, str]:
    """Give an environment in which `weaver` is this one, and git knows somebody."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    person = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ana"), ("EMAIL", "ana@example.org"))
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WEAVER_")}
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return {**kept, **person, **quiet, "PATH": programs}


def _play(line: str, folder: str, env: dict[str, str]) -> None:
    """Show a line, and do it where it is a command."""
    if not line or line.startswith("#"):
        print(line, flush=True)
        return
    print(f"$ {line.removesuffix(' || true')}", flush=True)
    code = _run(line, folder, env)
    if code:
        sys.exit(f"this ended with {code}: {line}")


def _run(line: str, folder: str, env: dict[str, str]) -> int:
    return subprocess.run(["sh", "-c", line], cwd=folder, env=env, check=False).returncode


if __name__ == "__main__":
    main()
