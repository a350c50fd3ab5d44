"""Undo: a person's last change through Weaver goes back, and nothing else does."""

from __future__ import annotations

import pytest

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.history import Commit
from reconciler.adapters.git.message import Identity
from reconciler.adapters.git.undo import Asked, last_of, subject_after
from reconciler.adapters.git.undo import undo as undo_in
from reconciler.adapters.git.writeback import writes_into
from reconciler.ports import Author, Committed, ConflictError, NotFoundError
from tests.git.asking import CAROL, assert_tidy, put, remove, set_field, write
from tests.git.scratch import BOB, DB, WEB, Scratch

pytestmark = pytest.mark.real

FILE = "services.d/web.yaml"
CHANGED = WEB.replace("8000", "8001")
DAVE = Author(name="Dave", email="dave@example.org", uid=1001)


def undo(scratch: Scratch, author: Author = CAROL, *, auto_commit: bool = True) -> Committed:
    """Undo, and check what must hold after every write-back."""
    checkout = locate(scratch.root)
    write = writes_into(checkout)
    asked = Asked(author=author, op_id="77aa", auto_commit=auto_commit, write=write)
    done = undo_in(checkout, asked)
    assert_tidy(scratch)
    return done


def test_a_set_value_goes_back_in_a_new_commit(scratch: Scratch) -> None:
    first = scratch.head()
    made = write(scratch, set_field("8001"), subject="web: set env.PORT=8001")
    done = undo(scratch)
    assert scratch.read(FILE) == scratch.at("HEAD", FILE) == scratch.at("", FILE) == WEB
    assert scratch.git("rev-parse", "HEAD~2").strip() == first
    assert scratch.log()[0] == "undo: web: set env.PORT=8001"
    trailers = scratch.git("log", "-1", "--format=%(trailers:only)")
    assert f"Weaver-Reverts: {made.commit}" in trailers
    assert "Weaver-Op: undo" in trailers
    assert "Weaver-Services: web" in trailers
    assert f"took back {made.commit[:7]} (web: set env.PORT=8001)" in done.notes
    assert done.files == (FILE,)
    assert scratch.status() == []


def test_an_undo_is_undone_by_the_next_one_and_so_on(scratch: Scratch) -> None:
    write(scratch, set_field("8001"), subject="web: set env.PORT=8001")
    for text in (WEB, CHANGED, WEB):
        undo(scratch)
        assert scratch.read(FILE) == text
    assert scratch.log()[:3] == [
        "undo: web: set env.PORT=8001",
        "redo: web: set env.PORT=8001",
        "undo: web: set env.PORT=8001",
    ]


def test_a_new_service_goes_again(scratch: Scratch) -> None:
    write(scratch, put("name: api\ncommand: api\n", "api"))
    undo(scratch)
    assert not scratch.path("services.d/api.yaml").exists()
    assert scratch.status() == []


def test_a_removed_service_comes_back_where_and_as_it_was(scratch: Scratch) -> None:
    text = "# kept\nname:   api   # odd spacing\ncommand: api\n"
    scratch.write("services.d/team/api.yml", text)
    scratch.commit()
    write(scratch, remove("api"))
    assert not scratch.path("services.d/team/api.yml").exists()
    undo(scratch)
    assert scratch.read("services.d/team/api.yml") == text
    assert scratch.status() == []


def test_the_first_commit_of_all_can_be_undone(empty: Scratch) -> None:
    write(empty, put(WEB))
    undo(empty)
    assert empty.git("ls-tree", "-r", "HEAD") == ""
    assert not empty.path(FILE).exists()
    undo(empty)
    assert empty.read(FILE) == WEB


def test_several_services_go_back_together(scratch: Scratch) -> None:
    write(scratch, set_field("8001"), set_field("redis", "command", service="db"))
    undo(scratch)
    assert (scratch.read(FILE), scratch.read("services.d/db.yaml")) == (WEB, DB)


def test_only_ones_own_changes_are_undone(scratch: Scratch) -> None:
    write(scratch, set_field("8001"), author=CAROL)
    write(scratch, set_field("redis", "command", service="db"), author=DAVE)
    undo(scratch, CAROL)
    assert scratch.read(FILE) == WEB
    assert "command: redis\n" in scratch.read("services.d/db.yaml")


def test_changes_by_hand_are_not_ours_to_undo(scratch: Scratch) -> None:
    with pytest.raises(NotFoundError, match=r"no commit of Carol <carol@example\.org>"):
        undo(scratch)
    assert scratch.log() == ["two services"]


def test_a_service_changed_since_is_refused_and_names_who(scratch: Scratch) -> None:
    write(scratch, set_field("8001"))
    scratch.write(FILE, CHANGED.replace("info", "debug"))
    scratch.commit("debug please", person=BOB)
    before = scratch.head()
    with pytest.raises(ConflictError, match=r"web was changed since by Bob .*debug please"):
        undo(scratch)
    assert (scratch.head(), scratch.status()) == (before, [])


def test_a_neighbour_in_the_same_file_may_have_changed_since(scratch: Scratch) -> None:
    tail = "---\nname: api\ncommand: api\n"
    scratch.write(FILE, WEB + tail)
    scratch.commit("neighbour")
    write(scratch, set_field("8001"))
    scratch.write(FILE, CHANGED + tail.replace("command: api", "command: serve"))
    scratch.commit("neighbour changed", person=BOB)
    undo(scratch)
    assert scratch.read(FILE) == WEB + tail.replace("command: api", "command: serve")
    assert scratch.status() == []


def test_a_neighbour_right_beside_may_have_changed_since(scratch: Scratch) -> None:
    scratch.write(FILE, "name: web\nstate: running\n---\nname: api\ncommand: api\n")
    scratch.commit("tight")
    write(scratch, set_field("stopped", "state"))
    scratch.write(FILE, "name: web\nstate: stopped\n---\nname: api2\ncommand: api\n")
    scratch.commit("neighbour renamed", person=BOB)
    undo(scratch)
    assert scratch.read(FILE) == "name: web\nstate: running\n---\nname: api2\ncommand: api\n"


def test_services_that_changed_places_are_not_taken_for_each_other(scratch: Scratch) -> None:
    one, gap, other = "name: web\nnice: {}\n", "\n---\n", "name: api\nnice: 2\n"
    scratch.write(FILE, one.format(1) + gap + other)
    scratch.commit("two in one")
    write(scratch, set_field("2", "nice"))
    scratch.write(FILE, other + gap + one.format(2))
    scratch.commit("the other way round", person=BOB)
    undo(scratch)
    assert scratch.read(FILE) == other + gap + one.format(1)


def test_a_renamed_file_does_not_hide_its_service(scratch: Scratch) -> None:
    write(scratch, set_field("8001"))
    scratch.git("mv", FILE, "services.d/front.yaml")
    scratch.commit("rename", person=BOB)
    undo(scratch)
    assert "PORT: 8000" in scratch.read("services.d/front.yaml")
    assert not scratch.path(FILE).exists()


def test_saved_and_staged_edits_survive_an_undo(scratch: Scratch) -> None:
    write(scratch, set_field("8001"))
    scratch.write(FILE, CHANGED.replace("the shop's", "our shop's"))
    scratch.git("add", FILE)
    scratch.write(FILE, CHANGED.replace("the shop's", "our shop's").replace("info", "debug"))
    before = scratch.status()
    undo(scratch)
    assert scratch.at("HEAD", FILE) == WEB
    assert scratch.at("", FILE) == WEB.replace("the shop's", "our shop's")
    assert scratch.read(FILE) == WEB.replace("the shop's", "our shop's").replace("info", "debug")
    assert scratch.status() == before


def test_an_edit_that_overlaps_stays_and_is_told(scratch: Scratch) -> None:
    write(scratch, set_field("8001"))
    theirs = CHANGED.replace("8001", "9999")
    scratch.write(FILE, theirs)
    done = undo(scratch)
    assert scratch.at("HEAD", FILE) == WEB
    assert scratch.read(FILE) == theirs
    assert any("overlap" in note for note in done.notes)


def test_g26_a_person_without_an_identity_is_known_by_uid(scratch: Scratch) -> None:
    nameless = Author(name="", email="", uid=1000)
    write(scratch, set_field("8001"), author=nameless)
    with pytest.raises(NotFoundError):
        undo(scratch, DAVE)
    undo(scratch, CAROL)
    assert scratch.read(FILE) == WEB


def test_with_auto_commit_off_only_the_saved_file_goes_back(scratch: Scratch) -> None:
    made = write(scratch, set_field("8001"))
    done = undo(scratch, auto_commit=False)
    assert (done.changed, done.commit, scratch.head()) == (False, made.commit, made.commit)
    assert scratch.read(FILE) == WEB
    assert scratch.status() == [f" M {FILE}"]


def test_a_merge_in_between_is_walked_through(scratch: Scratch) -> None:
    scratch.git("switch", "-q", "-c", "side")
    write(scratch, set_field("8001"))
    scratch.git("switch", "-q", "main")
    scratch.write("app/main.py", "more\n")
    scratch.commit("main goes on")
    scratch.git("merge", "-q", "--no-edit", "side")
    undo(scratch)
    assert scratch.read(FILE) == WEB


def commit(sha: str, reverts: str = "", email: str = CAROL.email) -> Commit:
    """Give a commit of ours."""
    trailers = {"Weaver-Op": "set", "Weaver-Actor": "uid:1000"}
    if reverts:
        trailers["Weaver-Reverts"] = reverts
    return Commit(
        sha=sha, parents=("p",), author=Identity(name="x", email=email), at=0.0, subject="s",
        trailers=trailers,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("newest_first", "expected"),
    [
        ([], None),
        ([commit("b"), commit("a")], "b"),
        ([commit("b", email="other@example.org"), commit("a")], "a"),
        ([commit("u", "a"), commit("a")], "u"),
        ([commit("u", "a", "other@example.org"), commit("a")], None),
        ([commit("u", "b", "other@example.org"), commit("b"), commit("a")], "a"),
        (
            [
                commit("r", "u", "other@example.org"),
                commit("u", "a", "other@example.org"),
                commit("a"),
            ],
            "a",
        ),
    ],
    ids=[
        "none", "newest", "not-theirs", "an-undo", "undone-by-another", "older-one",
        "redone-by-another",
    ],
)  # fmt: skip
def test_the_commit_to_undo_is_the_newest_of_theirs_that_stands(
    newest_first: list[Commit], expected: str | None
) -> None:
    found = last_of(newest_first, CAROL)
    assert (found.sha if found else None) == expected


def test_subjects_do_not_pile_up() -> None:
    subject = "web: change"
    seen = []
    for _ in range(3):
        subject = subject_after(subject)
        seen.append(subject)
    assert seen == ["undo: web: change", "redo: web: change", "undo: web: change"]
