"""The bootstrap: one clear sentence where it cannot work, and a way where it can."""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

COPIED = (
    "tools/bootstrap.py",
    "launcher/weaver",
    "requirements.txt",
    "requirements-dev.txt",
)
BROKEN = "raise ImportError\n"


def load(root: Path) -> ModuleType:
    """Load the bootstrap of a checkout, whatever other copy is loaded already."""
    spec = importlib.util.spec_from_file_location("bootstrap", root / "tools/bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copy_checkout(checkout: Path, to: Path) -> Path:
    """Copy what the bootstrap looks at."""
    for name in COPIED:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / name, to / name)
    return to


@pytest.fixture
def root(checkout: Path, tmp_path: Path) -> Path:
    """Give a checkout of the bootstrap's own."""
    return copy_checkout(checkout, tmp_path / "checkout")


@pytest.fixture
def bootstrap(root: Path) -> ModuleType:
    """Give the bootstrap of that checkout."""
    return load(root)


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the only folder on PATH: empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put_program(folder: Path, name: str, script: str) -> None:
    """Put a shell script on PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def put_old_python(folder: Path, name: str = "python3") -> None:
    """Put an interpreter on PATH that answers as 3.10 would."""
    put_program(folder, name, f"echo {folder / name}; echo 3 10 13")


def interpreter() -> str:
    """Give the interpreter behind this environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def test_it_is_written_in_the_python_of_old_machines(checkout: Path) -> None:
    ast.parse((checkout / "tools/bootstrap.py").read_text(), feature_version=(3, 6))


def test_python_3_10_gets_one_sentence_and_nothing_is_made(root: Path, bare_path: Path) -> None:
    put_old_python(bare_path)
    command = [sys.executable, str(root / "tools/bootstrap.py"), "up"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert run.returncode == 1
    assert run.stdout == (
        f"cannot set up weaver: it needs Python 3.11 or newer and here is 3.10.13 "
        f"({bare_path}/python3); install python3.11 or newer (Debian 12 and Ubuntu 24.04 have it) "
        "and run make again\n"
    )
    assert run.stderr == ""
    assert not (root / ".venv").exists()


def test_macos_gets_one_sentence_and_nothing_is_made(
    bootstrap: ModuleType,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert bootstrap.main(["up"]) == 1
    assert capsys.readouterr().out == (
        "cannot set up weaver: it needs Linux and this is macOS; "
        "use a Linux machine, virtual machine or container\n"
    )
    assert not (root / ".venv").exists()


def test_a_newer_python_behind_an_old_one_is_found_past_its_shim(
    bootstrap: ModuleType, bare_path: Path
) -> None:
    put_old_python(bare_path)
    put_program(bare_path, "python3.12", "exit 127")
    put_program(bare_path, "python3.13", f'exec {interpreter()} "$@"')
    assert bootstrap.find_python() == interpreter()


def test_without_ensurepip_the_outer_pip_installs(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    (modules / "pip").mkdir(parents=True)
    (modules / "ensurepip.py").write_text(BROKEN)
    (modules / "pip/__main__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(modules))
    assert bootstrap.with_ensurepip(interpreter()) is None
    command = bootstrap.with_outer_pip(interpreter())
    assert command[:5] == [interpreter(), "-m", "pip", "--python", bootstrap.VENV_PYTHON]


def test_without_any_installer_the_mend_is_told(
    bootstrap: ModuleType, bare_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "ensurepip.py").write_text(BROKEN)
    (modules / "pip.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(modules))
    assert not list(bare_path.iterdir())
    with pytest.raises(bootstrap.CannotError, match=r"apt-get install python3-venv"):
        bootstrap.make_venv(interpreter(), "requirements.txt")


def test_a_foreign_file_in_the_place_of_the_environment_is_left_alone(
    bootstrap: ModuleType, root: Path
) -> None:
    (root / ".venv").mkdir()
    (root / ".venv/thesis.txt").write_text("ten years of work")
    with pytest.raises(bootstrap.CannotError, match="something else has that name"):
        bootstrap.make_venv(interpreter(), "requirements.txt")
    assert (root / ".venv/thesis.txt").read_text() == "ten years of work"


@pytest.fixture
def made(bootstrap: ModuleType) -> ModuleType:
    """Give a bootstrap whose environment, with what the tests need, is there."""
    assert bootstrap.make_bare(interpreter())
    write_stamp(bootstrap, "dev")
    return bootstrap


def write_stamp(bootstrap: ModuleType, kind: str) -> None:
    """Stamp the environment as one of this kind."""
    Path(bootstrap.STAMP).write_text(bootstrap.json.dumps(bootstrap.stamp_of(kind)))


def test_what_the_tests_need_serves_up_as_well(made: ModuleType) -> None:
    assert made.is_made("dev")
    assert made.is_made("up")


def test_what_up_needs_does_not_serve_the_tests(made: ModuleType) -> None:
    write_stamp(made, "up")
    assert made.is_made("up")
    assert not made.is_made("dev")


@pytest.mark.parametrize("name", ["requirements-dev.txt", "launcher/weaver"])
def test_a_changed_input_is_noticed(made: ModuleType, root: Path, name: str) -> None:
    with (root / name).open("a") as file:
        file.write("# changed\n")
    assert not made.is_made("dev")


def test_an_environment_whose_interpreter_is_gone_is_noticed(made: ModuleType, root: Path) -> None:
    (root / ".venv/bin/python").unlink()
    assert not made.is_made("up")


def test_a_moved_checkout_is_noticed(made: ModuleType, root: Path, tmp_path: Path) -> None:
    assert made.is_made("up")
    moved = load(root.rename(tmp_path / "moved"))
    assert not moved.is_made("up")
    assert moved.with_what_is_there(interpreter()) is None


@pytest.mark.parametrize("name", ["short", "with blank", "long" * 40])
def test_the_launcher_starts_from_any_folder(checkout: Path, tmp_path: Path, name: str) -> None:
    root = copy_checkout(checkout, tmp_path / name)
    bootstrap = load(root)
    assert bootstrap.make_bare(interpreter())
    launcher = root / ".venv/bin/weaver"
    body = (root / "launcher/weaver").read_text()
    launcher.write_text(body.replace("#!python", f"#!{bootstrap.VENV_PYTHON}"))
    launcher.chmod(0o755)
    bootstrap.mend_launcher()

    package = tmp_path / "modules/reconciler"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys\nmain = lambda: print(sys.argv[1:])\n")
    run = subprocess.run(
        [launcher, "up", "two words"],
        env={"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert run.stdout == "['up', 'two words']\n"


def test_programs_that_cannot_be_installed_are_named_with_the_reason(
    bootstrap: ModuleType,
    bare_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_program(bare_path, "sqlite3", "exit 0")
    monkeypatch.setattr(bootstrap, "TEST_PACKAGES", {"sqlite3": "sqlite3", "nginx": "no-nginx"})
    bootstrap.ensure_programs(bootstrap.TEST_PACKAGES, "tests")
    assert capsys.readouterr().out == (
        "tests that need nginx will be skipped: there is no apt-get here\n"
    )


def test_an_unknown_mode_is_refused(bootstrap: ModuleType) -> None:
    assert bootstrap.main(["down"]) == 2
