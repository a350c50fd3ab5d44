"""What `init` and `new` write is valid, starts nothing, and is checked by editors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.cli.templates import EXAMPLE, KINDS, SETTINGS, kind_text
from reconciler.manifest.parse import parse
from reconciler.manifest.validate import check, check_config
from reconciler.model.spec import DesiredState
from tests.cli.shell import call, surroundings

MANIFESTS = {"example": EXAMPLE, **{kind: kind_text(kind, "shop") for kind in KINDS}}


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_template_is_a_valid_manifest_of_a_stopped_service(name: str) -> None:
    found = check(parse("services.d/x.yaml", MANIFESTS[name].encode()))
    assert found.diagnostics == ()
    assert [reading.definition.spec.state for reading in found.readings] == [DesiredState.STOPPED]


def test_the_settings_are_valid_with_and_without_their_remarks() -> None:
    assert check_config(parse("weaver.yaml", SETTINGS.encode())).diagnostics == ()
    tried = "\n".join(
        line[2:] if line.startswith(("# metrics", "#   listen", "# git", "#   auto")) else ""
        for line in SETTINGS.splitlines()
    )
    found = check_config(parse("weaver.yaml", tried.encode()))
    assert found.diagnostics == ()
    assert found.config is not None
    assert (found.config.metrics_listen, found.config.auto_commit) == ("127.0.0.1:9464", False)


def test_the_remarks_of_the_example_are_valid_when_tried() -> None:
    head, _, tried = EXAMPLE.partition("# env:")
    lines = [line.removeprefix("# ") for line in f"# env:{tried}".splitlines()]
    lines = [line for line in lines if not line.startswith("dependsOn")]
    found = check(parse("services.d/x.yaml", "\n".join([head, *lines]).encode()))
    assert found.diagnostics == ()
    assert found.readings[0].definition.spec.env == {"GREETING": "hello"}


@pytest.mark.parametrize("place", ["services.d/hello.yaml", "weaver.yaml"])
def test_the_modeline_names_a_schema_that_every_clone_has(tmp_path: Path, place: str) -> None:
    call("init", cwd=tmp_path, env=IDENTITY)
    line = (tmp_path / place).read_text().partition("\n")[0]
    named = line.partition("$schema=")[2]
    assert ((tmp_path / place).parent / named).resolve().is_file()
    tracked = git(tmp_path, "ls-files")
    assert ".weaver-schema/service.v1.schema.json" in tracked
    assert ".weaver-schema/weaver.v1.schema.json" in tracked


IDENTITY = {
    "GIT_AUTHOR_NAME": "Ana",
    "GIT_AUTHOR_EMAIL": "ana@example.org",
    "GIT_COMMITTER_NAME": "Ana",
    "GIT_COMMITTER_EMAIL": "ana@example.org",
}


def git(root: Path, *arguments: str) -> list[str]:
    """Give the lines that git prints."""
    said = subprocess.run(
        ["git", "-C", str(root), *arguments],
        env=surroundings(IDENTITY),
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.splitlines()


def test_init_in_an_empty_directory_makes_a_clean_repository(tmp_path: Path) -> None:
    said = call("init", "app", cwd=tmp_path, env=IDENTITY)
    assert said.returncode == 0
    assert git(tmp_path / "app", "status", "--porcelain") == []
    assert git(tmp_path / "app", "log", "--format=%s") == ["Run services with Weaver"]
    assert git(tmp_path / "app", "branch", "--show-current") == ["main"]


def test_init_without_an_identity_leaves_the_commit_to_the_person(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[user]\n\tuseConfigOnly = true\n")
    said = call("init", "app", cwd=tmp_path, env={"GIT_CONFIG_GLOBAL": str(config)})
    assert said.returncode == 0
    assert "git add -A && git commit" in said.stdout


def test_init_in_a_repository_of_somebodys_commits_nothing(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk")
    (tmp_path / ".gitignore").write_text("*.log")
    said = call("init", cwd=tmp_path, env=IDENTITY)
    assert "git add -A && git commit" in said.stdout
    assert (tmp_path / ".gitignore").read_text() == "*.log\n.weaver/\n"
    assert len(git(tmp_path, "status", "--porcelain")) == 4


def test_init_twice_changes_nothing(tmp_path: Path) -> None:
    call("init", cwd=tmp_path, env=IDENTITY)
    (tmp_path / "weaver.yaml").write_text("x-mine: 1\n")
    said = call("init", cwd=tmp_path, env=IDENTITY)
    assert said.stdout == f"{tmp_path.resolve()} is ready already; nothing changed\n"
    assert (tmp_path / "weaver.yaml").read_text() == "x-mine: 1\n"


def test_init_brings_an_old_schema_up_to_date(tmp_path: Path) -> None:
    call("init", cwd=tmp_path, env=IDENTITY)
    schema = tmp_path / ".weaver-schema" / "service.v1.schema.json"
    wanted = schema.read_bytes()
    schema.write_text("{}")
    call("init", cwd=tmp_path, env=IDENTITY)
    assert schema.read_bytes() == wanted


def test_init_leaves_services_that_are_there_alone(tmp_path: Path) -> None:
    (tmp_path / "services.d").mkdir()
    call("init", cwd=tmp_path, env=IDENTITY)
    assert list((tmp_path / "services.d").iterdir()) == []


def test_new_refuses_to_write_over_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "services.d").mkdir()
    assert call("new", "api", "shop", cwd=tmp_path).returncode == 0
    said = call("new", "worker", "shop", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (10, "")
    assert said.stderr == (
        "weaver: services.d/shop.yaml exists already\n    mend: weaver edit shop\n"
    )
