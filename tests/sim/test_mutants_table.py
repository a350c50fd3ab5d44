"""The planted bugs can all be planted, say what they would lead to, and really are in force."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sim.mutants import (
    BY_RULE,
    MUTANTS,
    CannotPlantError,
    Mutant,
    named,
    plant,
    planted_text,
)
from tests.sim.planting import ROOT

SECOND_WAIT = """
from reconciler.core.backoff import delay
from reconciler.model.spec import Backoff
from reconciler.model.units import Nanos
print(delay(Backoff(jitter=Nanos(0)), 2, 0.0) // 10**9)
"""
PLANTED = 'from tests.sim.mutants import named, plant\nplant(named("back-off-doubles-late"))\n'
JUDGE = "reconciler/core/judge.py"
"""Never changed: it is the second statement of the rules."""
PLAYED = (
    "reconciler/core/",
    "reconciler/runtime/asking.py",
    "reconciler/runtime/following.py",
    "reconciler/runtime/landing.py",
    "reconciler/runtime/pending.py",
    "reconciler/runtime/resuming.py",
    "reconciler/adapters/git/remote/repository.py",
    "reconciler/adapters/sqlite/codec.py",
)
"""What the simulator plays as it is shipped."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_one_change_that_compiles(mutant: Mutant) -> None:
    text = planted_text(mutant)
    assert text != mutant.path.read_text()
    compile(text, mutant.module, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_has_a_name_and_a_story(mutant: Mutant) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", mutant.name)
    assert mutant.story.endswith(".")
    assert "  " not in mutant.story
    assert mutant.module.startswith(PLAYED)
    assert mutant.module != JUDGE


def test_no_two_planted_bugs_share_a_name_or_are_the_same() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({planted_text(mutant) for mutant in MUTANTS}) == len(MUTANTS)


def test_every_rule_has_planted_bugs() -> None:
    assert len(MUTANTS) >= 25
    assert [rule for rule, planted in BY_RULE.items() if len(planted) < 2] == []


def test_a_planted_bug_is_found_by_its_name() -> None:
    assert named(MUTANTS[-1].name) is MUTANTS[-1]
    with pytest.raises(CannotPlantError, match="no planted bug has this name"):
        named("no-such-bug")


@pytest.mark.parametrize(("before", "times"), [("no such text", 0), ("CLEAN_SIGNALS", 2)])
def test_text_that_does_not_stand_there_once_is_refused(before: str, times: int) -> None:
    mutant = replace(named("back-off-doubles-late"), before=before)
    with pytest.raises(CannotPlantError, match=f"stands {times} times"):
        planted_text(mutant)


def test_a_module_that_is_imported_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = named("back-off-doubles-late")
    monkeypatch.setitem(sys.modules, mutant.module_name, sys)
    with pytest.raises(CannotPlantError, match="is imported already"):
        plant(mutant)


def printed(program: str, cache: Path) -> str:
    """Run a program in a process of its own, which keeps its bytecode in `cache`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache), "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_a_planted_bug_is_in_force_in_its_own_process_alone(tmp_path: Path) -> None:
    assert printed(PLANTED + SECOND_WAIT, tmp_path) == "1"
    assert printed(SECOND_WAIT, tmp_path) == "2"
    # Now there is bytecode of the shipped module, which must not hide the bug.
    assert printed(PLANTED + SECOND_WAIT, tmp_path) == "1"


def test_no_bytecode_of_a_planted_bug_is_kept(tmp_path: Path) -> None:
    printed(PLANTED + SECOND_WAIT, tmp_path)
    kept = {path.name.split(".")[0] for path in tmp_path.rglob("reconciler/core/*.pyc")}
    assert "luck" in kept
    assert "backoff" not in kept


def test_planting_imports_nothing_that_could_be_planted(tmp_path: Path) -> None:
    program = (
        "import sys, tests.sim.mutants\n"
        "print([name for name in sys.modules if name.startswith('reconciler')])"
    )
    assert printed(program, tmp_path) == "[]"
