"""The forms of a diff for reviews: complete, and safe whatever a manifest's text says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from reconciler.cli.diff_formats import FORMATS, MOST_MARKDOWN, github, junit, markdown, sarif
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
        **other,
    }


def test_markdown_has_every_change_field_and_fault() -> None:
    text = markdown(document(drift=[change("api", fields=[], reason="it is gone")]))
    assert "1 restart, 1 invalid, 41 unchanged" in text
    assert "| web | restart | env.A changed |" in text
    assert "| api | restart | it is gone |" in text
    assert "| <code>env.A</code> |  | <code>1</code> | restart |" in text
    assert "- **services.d/x.yaml:7:3** W104 `restrat` is not a key" in text


def test_markdown_says_when_it_was_cut() -> None:
    text = markdown(document(changes=[change(f"service-{n}") for n in range(1000)]))
    assert len(text) <= MOST_MARKDOWN + 100
    assert text.endswith("*Cut off here: `weaver diff` shows the rest.*\n")


def test_nothing_in_a_manifest_can_mention_a_team_or_break_a_table() -> None:
    text = markdown(document(changes=[change(reason=EVIL, service=EVIL)], invalid=[]))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(row.count("|") in {4, 5} for row in rows)
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
    assert [case.get("classname") for case in found] == ["restart", "W104"]


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
