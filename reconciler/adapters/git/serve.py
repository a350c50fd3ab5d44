"""Make a bare repository that people push to, with the hooks that answer them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import reconciler
from reconciler.adapters.git.initial import BRANCH
from reconciler.adapters.git.plumbing import run
from reconciler.ports import ConflictError

MARK = "# Written by `weaver init --bare`"
HOOKS = {
    "pre-receive": "refuses what is invalid, with the place and the mend of each fault",
    "post-receive": "asks the daemons that follow this repository, and tells how it goes",
}


def make_bare(place: Path) -> Sequence[str]:
    """Make a bare repository, or its hooks anew; give what was written, by name and purpose.

    Raises ConflictError where a hook of somebody else's stands in the way.
    """
    hooks = place / "hooks"
    for name in HOOKS:
        _refuse_foreign(hooks / name)
    if not (place / "HEAD").is_file():
        place.mkdir(parents=True, exist_ok=True)
        run(None, "init", "-q", "--bare", f"--initial-branch={BRANCH}", "--", str(place.resolve()))
    hooks.mkdir(exist_ok=True)
    written = []
    for name, purpose in HOOKS.items():
        text = _script(name, purpose, place.resolve())
        path = hooks / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
        written.append(f"hooks/{name:<13} {purpose}")
    return written


def _refuse_foreign(hook: Path) -> None:
    if hook.exists() and MARK not in hook.read_text("utf-8", "replace"):
        raise ConflictError(
            f"cannot write {hook}: there is a hook of yours",
            mend="move it away, or have it run `weaver receive` with what it reads",
        )


def _script(name: str, purpose: str, place: Path) -> str:
    """Give a hook: this very weaver, by its place, in the environment that git gives it.

    A hook that cannot run refuses: what nobody has checked would be in force a moment later.
    """
    python = shlex.quote(sys.executable)
    package = Path(reconciler.__file__).resolve().parent
    packages, entry = shlex.quote(str(package.parent)), shlex.quote(str(package / "__main__.py"))
    anew = shlex.quote(shlex.join(["weaver", "init", "--bare", str(place)]))
    is_first = name == "pre-receive"
    code, task = (1, "check this push") if is_first else (0, "tell what comes of this push")
    return f"""#!/bin/sh
{MARK}; it {purpose}.
for file in {python} {entry}; do
    [ -r "$file" ] && continue
    echo "weaver: cannot {task}: $file is gone" >&2
    echo "    mend: on this host, as the repository's owner:" {anew} >&2
    exit {code}
done
PYTHONPATH={packages} exec {python} -P -m reconciler receive {name}
"""
