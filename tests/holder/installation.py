"""The holder as of another version of Weaver, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import reconciler
from reconciler import __version__


def installation(folder: Path, version: str, change: tuple[str, str, str] | None = None) -> str:
    """Copy our holder as of another version, perhaps changed; give its program."""
    package = folder / "reconciler"
    source = Path(reconciler.__file__).parent
    shutil.copytree(source / "holder", package / "holder", ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("__init__.py", "failpoints.py"):
        shutil.copy(source / name, package / name)
    init = package / "__init__.py"
    init.write_text(init.read_text().replace(__version__, version))
    if change is not None:
        name, before, after = change
        file = package / "holder" / name
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))
    return str(package / "holder" / "__main__.py")
