"""The forms of a diff for reviews: complete, and safe whatever a manifest's text says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from reconciler.cli.diff_comment import MOST_MARKDOWN, markdown, marker
from reconciler.cli.diff_formats import FORMATS, github, junit, sarif
from reconciler.cli.diff_words import below
from tests.cli.shell import call, surroundings

EVIL = "x|y\n::error::<b>&\"'@team\x1b[31m"


def change(service: str = "web", **other: Any) -> dict[str, Any]:
    """Give one change."""
    return {
        "service": service,
        "actions": ["restart"],
        "order": 1,
        "reason": "env.A changed",
        "fields": [{"path": "env.A", "before": None, "after": "1", "effect": "restart"}],
        "heldBy": None,
        "processes": 1,
        **other,
    }


def fault(**other: Any) -> dict[str, Any]:
    """Give one fault."""
    return {
        "file": "services.d/x.yaml",
        "line": 7,
        "column": 3,
        "code": "W104",
        "message": "`restrat` is not a key",
        "mend": "did you mean `restart`?",
        "warning": False,
        **other,
    }


def document(**other: Any) -> dict[str, Any]:
    """Give a diff as JSON has it."""
    words = ("start", "stop", "restart", "reload", "update", "held", "invalid", "unchanged")
    summary = {**dict.fromkeys(words, 0), "restart": 1, "invalid": 1, "unchanged": 41}
    return {
        "changes": [change()],
        "drift": [],
        "held": [],
        "invalid": [fault()],
        "summary": summary,
        "processes": 1,
        **other,
    }


def test_markdown_has_every_change_field_and_fault() -> None:
    text = markdown(document(drift=[change("api", fields=[], reason="it is gone")]))
    assert "1 restart, 1 invalid, 41 unchanged" in text
    assert "| 1 | web | restart | env.A changed | 1 |" in text
    assert "| 1 | api | restart | it is gone | 1 |" in text
    assert "| <code>env.A</code> |  | <code>1</code> | restart |" in text
    assert "- **services.d/x.yaml:7:3** W104 `restrat` is not a key" in text


def test_markdown_says_when_it_was_cut() -> None:
    text = markdown(document(changes=[change(f"service-{n}") for n in range(1000)]))
    assert len(text.encode()) <= MOST_MARKDOWN
    assert text.count("<details>") == text.count("</details>")
    assert text.endswith("*Cut off here: `weaver diff` shows the rest.*\n")


def test_nothing_in_a_manifest_can_mention_a_team_or_break_a_table() -> None:
    text = markdown(document(changes=[change(reason=EVIL, service=EVIL)], invalid=[]))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(row.count("|") in {6, 5} for row in rows)
    assert "@team" not in text
    assert "<b>" not in text


def test_github_annotates_the_line_of_a_fault() -> None:
    first, *_ = github(document()).splitlines()
    assert first == (
        "::error file=services.d/x.yaml,line=7,col=3,title=W104::"
        "`restrat` is not a key%0Amend: did you mean `restart`?"
    )


def test_github_reads_no_command_out_of_a_manifest() -> None:
    text = github(document(changes=[change(reason=EVIL)], invalid=[fault(message=EVIL)]))
    assert [line.partition(" ")[0] for line in text.splitlines()] == [
        "::error",
        "::notice",
        "::notice",
    ]


def test_a_warning_is_a_warning_everywhere() -> None:
    found = document(invalid=[fault(warning=True)])
    assert github(found).startswith("::warning ")
    assert json.loads(sarif(found))["runs"][0]["results"][0]["level"] == "warning"


def test_sarif_names_rule_place_and_mend() -> None:
    [run] = json.loads(sarif(document()))["runs"]
    [result] = run["results"]
    assert result["ruleId"] == run["tool"]["driver"]["rules"][0]["id"] == "W104"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "services.d/x.yaml"
    assert place["region"] == {"startLine": 7, "startColumn": 3}


def test_junit_is_well_formed_and_counts_failures() -> None:
    found = ET.fromstring(junit(document(changes=[change(reason=EVIL, service=EVIL)])))
    assert (found.get("tests"), found.get("failures")) == ("2", "1")
    assert [case.get("classname") for case in found.iter("testcase")] == ["restart", "W104"]


def test_the_first_line_of_a_comment_says_whose_it_is() -> None:
    assert markdown(document()).startswith("<!-- weaver diff -->\n")
    assert markdown(below(document(), "deploy/")).startswith("<!-- weaver diff: deploy/ -->\n")
    assert "-->" not in marker("a-->b/")[:-3]


def test_files_are_called_as_from_the_top_of_the_repository() -> None:
    found = below(document(), "deploy/")
    assert "::error file=deploy/services.d/x.yaml,line=7" in github(found)
    assert '"uri": "deploy/services.d/x.yaml"' in sarif(found)


def test_github_annotates_the_line_of_each_field_that_differs() -> None:
    spot = {"file": "services.d/web.yaml", "line": 4, "column": 3}
    one = {"path": "env.A", "before": "1", "after": "2", "effect": "restart", "place": spot}
    two = {"path": "stopTimeout", "before": None, "after": "9s", "effect": "live"}
    three = {**two, "place": {**spot, "line": 9}}
    said = github(document(invalid=[], changes=[change(fields=[one, three])]))
    assert "::notice file=services.d/web.yaml,line=4,col=3,title=weaver%3A web%3A restart::" in said
    assert "env.A: 1 -> 2 (restart)" in said
    assert ",line=9," in said
    assert "stopTimeout: - -> 9s (live)" in said


@pytest.mark.parametrize("output", FORMATS)
def test_what_is_called_like_a_secret_is_published_nowhere(output: str) -> None:
    fields = [
        {"path": "env.DB_PASSWORD", "before": "hunter2", "after": "hunter3", "effect": "restart"},
        {"path": "command", "before": "x", "after": "x --token=hunter4", "effect": "restart"},
    ]
    said = FORMATS[output](document(changes=[change(fields=fields)]))
    assert "hunter" not in said


def test_what_a_guard_holds_is_an_error_everywhere() -> None:
    found = document(changes=[change(heldBy="all services would be removed")], invalid=[])
    assert "::error title=weaver%3A web%3A held::all services would be removed" in github(found)
    assert json.loads(sarif(found))["runs"][0]["results"][0]["ruleId"] == "held"
    assert ET.fromstring(junit(found)).get("failures") == "1"
    assert "| 1 | web | held | all services would be removed | 1 |" in markdown(found)


def test_that_the_base_moved_is_a_warning() -> None:
    found = document(moved=["web"], invalid=[])
    assert "\n::warning title=weaver diff::web changed on the base branch" in github(found)
    assert "**Warning:** web changed on the base branch" in markdown(found)
    assert json.loads(sarif(found))["runs"][0]["results"][0]["level"] == "warning"


@pytest.mark.parametrize("output", FORMATS)
def test_every_form_comes_from_a_comparison_of_two_commits(tmp_path: Path, output: str) -> None:
    (tmp_path / "services.d").mkdir()
    manifest = tmp_path / "services.d" / "web.yaml"
    who = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for port in (1, 2):
        manifest.write_text(f"name: web\ncommand: serve\nenv: {{PORT: {port}}}\n")
        for words in (["add", "-A"], ["commit", "-q", "-m", "x"]):
            subprocess.run(["git", *words], cwd=tmp_path, env=surroundings(who), check=True)
    said = call("diff", "HEAD~1..HEAD", "-o", output, cwd=tmp_path)
    assert (said.returncode, said.stderr) == (1, "")
    assert output == "sarif" or "restart" in said.stdout
