"""The import contracts: each is broken on purpose, and must notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MODULES = (
    "__init__",
    "__main__",
    "app",
    "ports",
    "adapters/__init__",
    "adapters/clock",
    "adapters/git",
    "api/__init__",
    "children",
    "cli/__init__",
    "core/__init__",
    "core/planner",
    "failpoints",
    "holder/__init__",
    "holder/spawn",
    "holder/wire",
    "manifest/__init__",
    "model/__init__",
    "model/spec",
    "runtime/__init__",
)
ALLOWED = {
    "adapters/clock": "from reconciler.holder.wire import Frame",
    "app": "import reconciler.adapters.clock",
    "cli/__init__": "import reconciler.app",
    "core/planner": "import dataclasses, reconciler.model.spec",
    "holder/spawn": "import os, reconciler.holder.wire",
}

LAYERS = "layers"
PURE = "model and core import nothing outside"
APART = "adapters are independent of each other"
ALONE = "of the holder only its wire format is imported"
ROOT_ONLY = "only app names concrete adapters"


@pytest.fixture
def tree(checkout: Path, tmp_path: Path) -> Path:
    """Give a small package of the same layout, which keeps every contract."""
    shutil.copy(checkout / "pyproject.toml", tmp_path)
    for module in MODULES:
        path = tmp_path / "reconciler" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ALLOWED.get(module, "") + "\n")
    return tmp_path


def broken(tree: Path) -> set[str]:
    """Give the names of the contracts that the tree breaks."""
    answer = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Contracts: " in answer.stdout, answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    return {line.split(" BROKEN")[0] for line in lines if " BROKEN" in line}


def test_the_layout_itself_keeps_them(tree: Path) -> None:
    assert broken(tree) == set()


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/planner", "import time", PURE),
        ("core/planner", "import os.path", PURE),
        ("model/spec", "import ruamel.yaml", PURE),
        ("model/spec", "import msgspec", PURE),
        ("core/planner", "from reconciler.holder.wire import Frame", PURE),
        ("model/spec", "import reconciler.core.planner", LAYERS),
        ("core/planner", "import reconciler.ports", LAYERS),
        ("holder/spawn", "import reconciler.model.spec", LAYERS),
        ("runtime/__init__", "import reconciler.api", LAYERS),
        ("extra", "", LAYERS),
        ("adapters/git", "import reconciler.adapters.clock", APART),
        ("adapters/git", "from reconciler.holder import spawn", ALONE),
        ("api/__init__", "import reconciler.adapters.git", ROOT_ONLY),
        ("cli/__init__", "from reconciler.adapters import git", ROOT_ONLY),
    ],
)
def test_a_forbidden_import_is_noticed(tree: Path, module: str, line: str, contract: str) -> None:
    with (tree / "reconciler" / f"{module}.py").open("a") as file:
        file.write(line + "\n")
    assert broken(tree) == {contract}
