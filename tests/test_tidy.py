"""The repository lints itself: rules of its own that no linter knows."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULE_LINES = 400
CODE_FOLDERS = ("reconciler", "benchmarks", "tools")

# In two pieces, so that this file does not find itself.
LEFT_OVERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATHS = re.compile(r"/(?:wo" + r"rk|Us" + r"ers|root/\.py" + r"env)/")
UNEXPLAINED = re.compile(
    r"#\s*no" + r"qa(?!: [A-Z0-9, ]+\d+ \W*\w)|#\s*type: ig" + r"nore(?!\[[^]]+\]\s*# \w)"
)


def tracked(*patterns: str) -> list[Path]:
    """List the files of this checkout that git knows or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    answer = subprocess.run([*command, *patterns], cwd=ROOT, capture_output=True, check=True)
    names = sorted(set(answer.stdout.decode().split("\0")) - {""})
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def text_files() -> Iterator[tuple[Path, str]]:
    """Give every text file with its text."""
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            yield path, data.decode("utf-8", errors="replace")


def lines_with(pattern: re.Pattern[str], *patterns: str) -> list[str]:
    """Give file:line of every line that matches."""
    chosen = set(tracked(*patterns))
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in text_files()
        if path in chosen
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def trees(*patterns: str) -> Iterator[tuple[Path, ast.Module]]:
    """Give the syntax tree of every Python file."""
    for path in tracked(*patterns):
        yield path.relative_to(ROOT), ast.parse(path.read_text())


def project() -> dict[str, Any]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_no_module_is_longer_than_one_thing() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in CODE_FOLDERS
        for path in tracked(f"{folder}/*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_nothing_is_left_for_later() -> None:
    assert lines_with(LEFT_OVERS) == []


def test_nothing_that_git_ignores_is_kept_in_it() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    assert answer.stdout.splitlines() == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    assert lines_with(MACHINE_PATHS) == []


def test_every_silenced_finding_has_its_reason_beside_it() -> None:
    assert lines_with(UNEXPLAINED, "*.py") == []


@pytest.mark.parametrize(
    ("line", "is_fault"),
    [
        ("x()  # no" + "qa", True),
        ("x()  # no" + "qa: BLE001", True),
        ("x()  # no" + "qa: BLE001, S110", True),
        ("x()  # no" + "qa: BLE001, S110 - every failure becomes an event", False),
        ("x()  # no" + "qa: BLE001 a failure is an event", False),
        ("x()  # type: ig" + "nore", True),
        ("x()  # type: ig" + "nore[arg-type]", True),
        ("x()  # type: ig" + "nore[arg-type]  # the stub is wrong", False),
    ],
)
def test_a_silenced_finding_is_recognised(line: str, is_fault: bool) -> None:
    assert bool(UNEXPLAINED.search(line)) == is_fault


def test_every_rule_left_out_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    ruff = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-bugbear]")]
    left_out = re.findall(r'^.*"[A-Z]+\d*",?.*$', ruff, flags=re.MULTILINE)
    assert len(left_out) > 40
    assert [line for line in left_out if not re.search(r'"[A-Z]+\d*"[],]*\s+# \w', line)] == []


def sleeps(tree: ast.Module) -> Iterator[int]:
    """Give the lines on which a tree sleeps; programs inside strings may."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (node.lineno for name in node.names if name.name == "sleep")
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep":
            yield node.lineno


def test_tests_wait_for_conditions_and_never_sleep() -> None:
    found = [f"{path}:{line}" for path, tree in trees("tests/**.py") for line in sleeps(tree)]
    assert found == []


def test_every_module_says_what_it_is() -> None:
    silent = [str(path) for path, tree in trees("reconciler/**.py") if not ast.get_docstring(tree)]
    assert silent == []


def imported(tree: ast.Module) -> Iterator[str]:
    """Give the full names of the modules that a tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_holder_needs_only_the_standard_library() -> None:
    # The package itself holds the version and nothing else, see below.
    def is_allowed(name: str) -> bool:
        if name in ("reconciler", "reconciler.failpoints"):
            return True
        return name.partition(".")[0] in sys.stdlib_module_names or name.startswith(
            "reconciler.holder"
        )

    found = {
        f"{path}: {name}"
        for path, tree in trees("reconciler/holder/**.py", "reconciler/failpoints.py")
        for name in imported(tree)
        if not is_allowed(name)
    }
    assert found == set()


def test_the_package_itself_imports_nothing() -> None:
    ((_, tree),) = trees("reconciler/__init__.py")
    assert list(imported(tree)) == []


def test_the_judge_shares_nothing_with_the_planner_it_judges() -> None:
    graph = grimp.build_graph("reconciler", cache_dir=None)
    assert graph.find_shortest_chain("reconciler.core.judge", "reconciler.core.planner") is None


def test_there_are_five_contracts_and_the_pure_one_names_every_dependency() -> None:
    config = project()
    contracts = config["tool"]["importlinter"]["contracts"]
    assert len(contracts) == 5
    (pure,) = (contract for contract in contracts if "nothing outside" in contract["name"])
    wanted = {distribution(requirement) for requirement in config["project"]["dependencies"]}
    modules = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if wanted & {distribution(owner) for owner in owners} and module.isidentifier()
    }
    public = {module for module in modules if not module.startswith("_")}
    assert len(public) >= len(wanted) - 1, "ruamel.yaml and its C loader share a name"
    assert public - set(pure["forbidden_modules"]) == set()


def distribution(requirement: str) -> str:
    """Give the normalised name in a requirement.

    >>> distribution("ruamel.yaml.clib>=0.2")
    'ruamel-yaml-clib'
    """
    name = re.split(r"[ <>=!~;\[]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")


def pins(name: str) -> dict[str, str]:
    """Give the pinned version of every distribution in a requirements file."""
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {distribution(pinned): version for pinned, version in found}


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_pinned_requirements_hold_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=", ""), flags=re.MULTILINE)


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_pinned_requirement_has_a_hash(name: str) -> None:
    entries = re.split(r"^(?=[\w.-]+==)", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(name))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_is_up_to_date_with_what_the_project_asks_for() -> None:
    config = project()
    groups = config["dependency-groups"]
    asked = [*config["project"]["dependencies"], *groups["build"]]
    assert {distribution(requirement) for requirement in asked} <= set(pins(REQUIREMENTS[0]))
    tools = [requirement for requirement in groups["dev"] if isinstance(requirement, str)]
    assert {distribution(requirement) for requirement in tools} <= set(pins(REQUIREMENTS[1]))


def test_both_requirements_files_pin_the_same_versions() -> None:
    runtime, development = (pins(name) for name in REQUIREMENTS)
    assert runtime.items() <= development.items()
