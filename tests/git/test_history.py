"""Who changed what, read from real histories."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.history import LIMIT, commits, log, service_log, who
from reconciler.ports import ManifestError
from tests.git.scratch import ANA, BOB, DB, WEB, Scratch

pytestmark = pytest.mark.real

OURS = "web: set env.PORT=1\n\nWeaver-Op: set\nWeaver-Services: {}\n"


def test_a_log_has_authors_subjects_and_trailers(scratch: Scratch) -> None:
    scratch.write("services.d/web.yaml", WEB.replace("8000", "1"))
    commit = scratch.commit(OURS.format("web"), person=BOB)
    newest, first = log(locate(scratch.root), "services.d/web.yaml", 10)
    assert (newest.commit, newest.author) == (commit, "Bob <bob@example.org>")
    assert newest.subject == "web: set env.PORT=1"
    assert newest.trailers == {"Weaver-Op": "set", "Weaver-Services": "web"}
    assert newest.at > 1_600_000_000
    assert (first.subject, dict(first.trailers)) == ("two services", {})


def test_only_commits_that_touched_the_file_count(scratch: Scratch) -> None:
    scratch.write("services.d/db.yaml", DB + "# more\n")
    scratch.commit("db only")
    found = who(locate(scratch.root), "services.d/web.yaml")
    assert found is not None
    assert found.subject == "two services"


def test_a_file_nobody_committed_has_no_one(scratch: Scratch) -> None:
    assert who(locate(scratch.root), "services.d/new.yaml") is None


def test_before_the_first_commit_there_is_no_history(empty: Scratch) -> None:
    assert commits(locate(empty.root)) == ()


def test_a_services_history_leaves_out_what_weaver_did_to_its_neighbours(scratch: Scratch) -> None:
    scratch.write("services.d/web.yaml", WEB + "---\nname: api\ncommand: api\n")
    scratch.commit("by hand")
    for number, service in enumerate(("api", "web")):
        scratch.write("services.d/web.yaml", WEB + f"---\nname: api\ncommand: api{number}\n")
        scratch.commit(OURS.format(service))
    found = service_log(locate(scratch.root), "services.d/web.yaml", "web", 10)
    assert [entry.trailers.get("Weaver-Services", "-") for entry in found] == ["web", "-", "-"]


def test_the_limit_is_kept(scratch: Scratch) -> None:
    for number in range(5):
        scratch.commit(f"commit {number}")
    assert len(commits(locate(scratch.root), limit=3)) == 3
    assert len(commits(locate(scratch.root), limit=10 * LIMIT)) == 6


def test_g27_order_is_by_descent_whatever_the_dates_say(scratch: Scratch) -> None:
    for number, year in enumerate(("2040", "1999", "2020")):
        scratch.git(
            "commit", "-q", "--allow-empty", "-m", f"c{number}", f"--date={year}-01-01T00:00:00Z"
        )
    subjects = [commit.subject for commit in commits(locate(scratch.root))]
    assert subjects == ["c2", "c1", "c0", "two services"]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "", "a/../../b", "a\0b"])
def test_g13_a_path_outside_is_refused(scratch: Scratch, path: str) -> None:
    with pytest.raises(ManifestError, match="not below"):
        log(locate(scratch.root), path, 1)


@pytest.mark.parametrize("path", ["--all", "-p", ":(top)app", "*"])
def test_g13_a_path_is_a_path_however_it_looks(scratch: Scratch, path: str) -> None:
    assert log(locate(scratch.root), path, 1) == ()
    scratch.write(path, "x")
    scratch.commit("odd name", person=ANA)
    assert [entry.subject for entry in log(locate(scratch.root), path, 9)] == ["odd name"]


def test_a_repository_cannot_make_us_check_signatures(scratch: Scratch) -> None:
    scratch.git("config", "log.showSignature", "true")
    scratch.git("config", "gpg.program", "false")
    scratch.git("config", "color.ui", "always")
    (entry,) = log(locate(scratch.root), "services.d/web.yaml", 5)
    assert entry.subject == "two services"
