"""What the repository ships is valid, and its own services come up in order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.stack import ROOT, WEAVER

STACKS = [ROOT, *(path.parent for path in sorted(ROOT.glob("examples/*/services.d")))]


@pytest.mark.real
@pytest.mark.parametrize("folder", STACKS, ids=lambda folder: str(folder.name))
def test_what_is_shipped_validates_without_a_warning(folder: Path) -> None:
    answer = subprocess.run(
        [str(WEAVER), "-C", str(folder), "validate", "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["errors"], told["warnings"]) == (0, [], []), answer.stderr
    assert len(told["services"]) == len(list((folder / "services.d").glob("*.yaml")))


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.py")), ids=lambda path: path.name)
def test_every_program_of_the_examples_compiles(path: Path) -> None:
    compile(path.read_text(), str(path), "exec")


def test_the_services_that_run_out_of_the_box_need_only_python() -> None:
    programs = {
        line.split()[1]
        for path in (ROOT / "services.d").glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("command:")
    }
    assert programs == {"python3"}
    assert sys.version_info >= (3, 11)
