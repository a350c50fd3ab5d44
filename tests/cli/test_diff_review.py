"""What a reviewer learns of a branch: how far it reaches, where it says so, and what is held."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler import app
from reconciler.adapters.reader import cache
from reconciler.manifest.config import Config
from reconciler.manifest.read import read_manifest
from reconciler.model.units import ServiceName
from reconciler.runtime.paths import StatePaths
from tests.cli.shell import call, surroundings

WHO = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@b",
}
DB = "name: db\ncommand: serve\nenv:\n  PORT: 1\n  A.B: x\ninstances: 2\nstopTimeout: 9s\n"
API = "name: api\ncommand: serve\ndependsOn:\n  db: {onRestart: restart}\n"
WEB = "name: web\ncommand: serve\ndependsOn: [api]\n"


class Repository:
    """A repository with three services, and a branch that is being reviewed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.commit({"db": DB, "api": API, "web": WEB})
        self.git("checkout", "-q", "-b", "topic")

    def git(self, *words: str) -> str:
        """Run git here."""
        command = ["git", *words]
        env = surroundings(WHO)
        return subprocess.run(
            command, cwd=self.folder, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, services: Mapping[str, str | None], settings: str = "") -> str:
        """Write, or remove, manifests and commit them."""
        (self.folder / "services.d").mkdir(exist_ok=True)
        for name, text in services.items():
            path = self.folder / "services.d" / f"{name}.yaml"
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        if settings:
            (self.folder / "weaver.yaml").write_text(settings)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def diff(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Compare the branch with main, as JSON."""
        said = call("diff", "main...topic", "-o", "json", *words, cwd=self.folder)
        assert said.stderr == ""
        return said.returncode, json.loads(said.stdout)

    def text(self, output: str = "text") -> str:
        """Compare the branch with main, in some form."""
        return call("diff", "main...topic", "-o", output, cwd=self.folder).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_every_field_says_where_it_stands_and_what_it_does(repository: Repository) -> None:
    changed = DB.replace("1", "2").replace("A.B: x", "A.B: y").replace("stopTimeout: 9s\n", "")
    repository.commit({"db": changed})
    code, found = repository.diff()
    db, api = found["changes"]
    assert code == 1
    assert {f["path"]: (f["place"]["line"], f["effect"]) for f in db["fields"]} == {
        'env."A.B"': (5, "restart"),
        "env.PORT": (4, "restart"),
        "stopTimeout": (1, "live"),
    }
    assert (api["service"], api["order"], api["processes"], api["fields"]) == ("api", 2, 1, [])
    assert api["place"] == {"file": "services.d/api.yaml", "line": 1, "column": 1}
    assert (db["processes"], found["processes"]) == (2, 3)
    assert "3 running processes affected: db, api." in repository.text()


def test_a_field_of_the_defaults_stands_where_the_defaults_do(repository: Repository) -> None:
    repository.commit({}, "defaults:\n  stopTimeout: 30s\n")
    _, found = repository.diff()
    places = {c["service"]: c["fields"][0]["place"] for c in found["changes"]}
    assert places["web"] == {"file": "weaver.yaml", "line": 2, "column": 3}
    assert set(places) == {"api", "web"}, "db has a time of its own"


def test_a_label_affects_no_process_and_every_form_says_so(repository: Repository) -> None:
    repository.commit({"web": f"{WEB}labels: {{team: a}}\n"})
    code, found = repository.diff()
    assert (code, found["processes"], found["changes"][0]["actions"]) == (1, 0, ["update"])
    for output in ("text", "markdown", "github", "junit"):
        assert "No running process affected." in repository.text(output), output


def test_every_process_of_a_rolling_restart_counts(repository: Repository) -> None:
    rolling = f"{DB}update: {{maxUnavailable: 1}}\n"
    base = repository.commit({"db": rolling})
    repository.git("branch", "-f", "main", base)
    repository.commit({"db": rolling.replace("PORT: 1", "PORT: 2")})
    _, found = repository.diff()
    assert found["changes"][0]["processes"] == 2


def test_what_main_did_meanwhile_is_not_shown_but_warned_of(repository: Repository) -> None:
    repository.commit({"db": DB.replace("1", "2")})
    repository.git("checkout", "-q", "main")
    tip = repository.commit({"db": DB.replace("9s", "8s"), "other": "name: other\ncommand: x\n"})
    _, found = repository.diff()
    assert [c["service"] for c in found["changes"]] == ["db", "api"]
    assert found["moved"] == ["db"]
    assert found["ifRevision"] == tip
    said = repository.text()
    assert f"\nApply just this: --if-revision {tip}\n" in said
    assert "\nwarning: db changed on the base branch as well" in said


def test_main_that_went_on_elsewhere_is_no_warning(repository: Repository) -> None:
    repository.commit({"db": DB.replace("1", "2")})
    repository.git("checkout", "-q", "main")
    repository.commit({"other": "name: other\ncommand: x\n"})
    assert repository.diff()[1]["moved"] == []


def test_a_removal_that_a_guard_holds_is_5_whatever_else_is_wrong(repository: Repository) -> None:
    repository.commit({"db": None, "api": None, "web": None})
    code, found = repository.diff()
    assert (code, found["exitCode"], found["processes"]) == (5, 5, 0)
    assert all("all 3 services would be removed" in c["heldBy"] for c in found["changes"])
    assert repository.diff("--exit-code=false")[0] == 5
    assert "::error file=services.d/db.yaml,line=1," in repository.text("github")


def test_what_the_base_protects_is_held_whether_its_line_or_its_file_went(
    repository: Repository,
) -> None:
    repository.commit({"web": WEB + "protect: true\n"})
    repository.git("branch", "-f", "main", "topic")
    repository.commit({"web": WEB})
    assert repository.diff()[0] == 0
    repository.commit({"web": None})
    code, said = repository.diff()
    assert code == 5
    [change] = said["changes"]
    assert change["heldBy"].startswith("removed from the manifests, but web is protected; to agree")
    repository.commit({"web": WEB + "protect: false\n"})
    code, said = repository.diff()
    assert (code, said["changes"][0]["actions"]) == (1, ["update"])


def test_an_invalid_manifest_is_2(repository: Repository) -> None:
    repository.commit({"web": WEB.replace("command", "comand")})
    assert repository.diff()[0] == 2
    assert repository.text("github").startswith("::error file=services.d/web.yaml,line=2,col=1,")


def test_a_cache_that_the_branch_brought_along_is_not_believed(repository: Repository) -> None:
    path, config = "services.d/db.yaml", Config()
    changed = DB.replace("1", "2")
    repository.commit({"db": changed})
    lie = read_manifest(path, DB.encode(), config)
    key = cache.key_of(path, cache.blob_id(changed.encode()), cache.defaults_id(config))
    cache.save(StatePaths.of(repository.folder).cache, {key: lie})
    believed = app.open_offline(repository.folder).at("topic").manifests.definitions
    assert believed[ServiceName("db")].spec.env["PORT"] == "1", "it would be believed"
    assert repository.diff()[1]["changes"][0]["fields"][0]["after"] == "2"


def test_manifests_below_the_top_are_named_from_there(repository: Repository) -> None:
    repository.git("checkout", "-q", "main")
    (repository.folder / "deploy").mkdir()
    repository.git("mv", "services.d", "deploy/services.d")
    repository.git("commit", "-q", "-m", "x")
    repository.git("checkout", "-q", "-B", "topic")
    path = repository.folder / "deploy" / "services.d" / "db.yaml"
    path.write_text(DB.replace("1", "2"))
    repository.git("commit", "-q", "-a", "-m", "x")
    words = ("-C", "deploy", "diff", "main...topic", "-o")
    said = [call(*words, form, cwd=repository.folder).stdout for form in ("github", "markdown")]
    assert "::notice file=deploy/services.d/db.yaml,line=4,col=3," in said[0]
    assert said[1].startswith("<!-- weaver diff: deploy/ -->\n")
