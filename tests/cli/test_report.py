"""The bundle for bug reports has what is needed, and no secret."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from reconciler.cli.bundle import redact
from reconciler.cli.leftovers import Marked, marked, unknown
from tests.cli.shell import call

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "text",
    [
        f"env:\n  ANY: {SECRET}",
        f"env:\n  ANY: |\n    {SECRET}\n    http://{SECRET}\nname: web",
        f"  - env:\n      - {SECRET}",
        f"env: {{ANY: {SECRET}}}",
        f"annotations:   # remarks\n  note: {SECRET}",
        f"command: serve --password={SECRET}",
        f"command: serve --api-key {SECRET} --verbose",
        f"DB_PASSWORD={SECRET}",
        f'{{"githubToken": "{SECRET}", "a": 1}}',
        f"postgres://user:{SECRET}@db/shop",
        f"Authorization: Bearer {SECRET}",
        f"client_secret: '{SECRET}'",
    ],
)
def test_a_secret_is_replaced(text: str) -> None:
    assert SECRET not in redact(text)
    assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    ["name: web\ncommand: python3 -m http.server", "env:\n\nname: web", "# env: see below\na: b"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_what_follows_env_is_kept() -> None:
    assert redact("env:\n  A: b\ncwd: app") == "env:\n  A: ***\ncwd: app"


def test_the_report_has_versions_findings_and_manifests(tmp_path: Path) -> None:
    (tmp_path / "services.d").mkdir()
    (tmp_path / "services.d" / "web.yaml").write_text(f"name: web\nenv:\n  A: {SECRET}\n")
    said = call("report", "-f", "r.tar.gz", cwd=tmp_path)
    assert said.returncode == 0
    with tarfile.open(tmp_path / "r.tar.gz") as archive:
        names = {name.removeprefix("weaver-report/") for name in archive.getnames()}
        found = archive.extractfile("weaver-report/services.d/web.yaml")
        assert found is not None
        assert found.read() == b"name: web\nenv:\n  A: ***"
    assert {"versions.txt", "doctor.txt", "status.json", "daemon.log"} <= names
    assert (tmp_path / "r.tar.gz").stat().st_mode & 0o777 == 0o600


def test_a_process_that_bears_our_mark_is_found_by_its_environment(tmp_path: Path) -> None:
    for pid, env in ((7, b"WEAVER_RUN=ab\0WEAVER_SERVICE=web\0"), (8, b"HOME=/\0"), (9, b"")):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "environ").write_bytes(env)
        (entry / "cmdline").write_bytes(b"python3\0serve.py\0")
        (entry / "cwd").symlink_to("/srv")
    (tmp_path / "version").touch()
    assert list(marked(tmp_path)) == [
        Marked(pid=7, service="web", run="ab", command="python3 serve.py", cwd="/srv")
    ]


def test_a_child_of_a_known_process_is_known() -> None:
    found = [
        Marked(pid=pid, service="web", run=run, command="x", cwd="/")
        for pid, run in ((1, "a"), (2, "a"), (3, "b"))
    ]
    assert [process.pid for process in unknown(found, {2})] == [3]
