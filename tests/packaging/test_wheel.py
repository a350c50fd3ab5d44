"""The wheel: everything is in it, and `weaver` starts from it without a detour."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import reconciler

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a command in surroundings of nothing but these, and give what it prints."""
    answer = subprocess.run(
        command,
        cwd=cwd,
        env={"LANG": "C.UTF-8", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def installed(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, install it as pull requests do into an environment, and give that."""
    folder = tmp_path_factory.mktemp("wheel")
    python = sys.executable
    run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=checkout)
    (wheel,) = folder.glob("*.whl")

    venv = folder / "venv"
    run(python, "-m", "venv", "--without-pip", venv, cwd=folder)
    borrowed = sysconfig.get_path("purelib")
    only_pip = folder / "tools"
    only_pip.mkdir()
    (only_pip / "pip").symlink_to(Path(borrowed, "pip"))
    run(
        *("bash", "-eo", "pipefail", "-c", install_step(checkout)),
        cwd=folder,
        PATH=f"{venv / 'bin'}:{os.defpath}",
        PYTHONPATH=str(only_pip),
        PIP_NO_INDEX="1",
        PIP_NO_DEPS="1",
        WEAVER_PACKAGE=str(wheel),
    )
    # The dependencies are borrowed. A folder named in a .pth file comes last, and .pth files in it
    # are not read, so an editable installation there stays unseen.
    (site_packages,) = venv.glob("lib/python3*/site-packages")
    (site_packages / "borrowed.pth").write_text(borrowed + "\n")
    return venv


def install_step(checkout: Path) -> str:
    """Give the script with which the workflows of examples/ci install it, all of them alike."""
    examples, yaml = checkout / "examples" / "ci", YAML(typ="safe")
    [job] = yaml.load(examples / "github" / "workflow.yml")["jobs"].values()
    [script] = [step["run"] for step in job["steps"] if "run" in step]
    gitlab = yaml.load(examples / "gitlab" / "weaver-diff.gitlab-ci.yml")
    assert gitlab["weaver-diff"]["before_script"] == [script]
    return str(script)


def test_the_package_comes_from_the_wheel(installed: Path) -> None:
    where = run(
        installed / "bin/python", "-c", "import reconciler as r; print(r.__file__)", cwd=installed
    )
    assert Path(where.strip()).is_relative_to(installed)


def test_weaver_tells_its_version(installed: Path) -> None:
    assert reconciler.__version__ in run(installed / "bin/weaver", "--version", cwd=installed)


def test_every_schema_is_inside_the_package(installed: Path, checkout: Path) -> None:
    schemas = {file.name: file.read_bytes() for file in (checkout / "schemas").glob("*.json")}
    (package,) = installed.glob("lib/python3*/site-packages/reconciler")
    shipped = {file.name: file.read_bytes() for file in (package / "_schemas").glob("*.json")}
    assert "service.v1.schema.json" in schemas
    assert shipped == schemas


def test_the_type_information_is_inside_the_package(installed: Path) -> None:
    assert list(installed.glob("lib/python3*/site-packages/reconciler/py.typed"))


@pytest.mark.parametrize("environment", ["of the wheel", "of this checkout"])
def test_the_launcher_imports_nothing_but_the_program(installed: Path, environment: str) -> None:
    venv = installed if environment == "of the wheel" else Path(sys.prefix)
    lines = (venv / "bin/weaver").read_text().splitlines()
    assert lines[0].startswith("#!")
    imports = [line for line in lines if "import" in line]
    assert imports == ["from reconciler.__main__ import main"]
