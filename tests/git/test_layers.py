"""A change replayed on what the person staged and saved: their edits survive, whatever they are."""

from __future__ import annotations

import pytest

from reconciler.manifest.intent import Intent
from reconciler.ports import ConflictError, ManifestError, NotFoundError, WeaverError
from tests.git.asking import put, remove, set_field, write
from tests.git.scratch import WEB, Scratch

pytestmark = pytest.mark.real

FILE = "services.d/web.yaml"
STAGED = WEB.replace("LOG_LEVEL: info", "LOG_LEVEL: debug")
SAVED = WEB.replace("command:", "description: the shop\ncommand:")
BOTH = STAGED.replace("command:", "description: the shop\ncommand:")
PUT = "name: web\ncommand: caddy run\nenv:\n  PORT: 9000\n"

STATES = {
    "clean": (WEB, WEB),
    "staged": (STAGED, STAGED),
    "unsaved": (WEB, SAVED),
    "both": (STAGED, BOTH),
}
"""What the index and the saved file say while HEAD says WEB."""


def arrange(scratch: Scratch, state: str) -> None:
    """Bring the repository into a state, with git's own commands."""
    staged, saved = STATES[state]
    scratch.write(FILE, staged)
    scratch.git("add", FILE)
    scratch.write(FILE, saved)


@pytest.mark.parametrize("state", STATES)
def test_a_set_value_reaches_all_three_and_no_edit_is_lost(scratch: Scratch, state: str) -> None:
    arrange(scratch, state)
    before = scratch.status()
    done = write(scratch, set_field("8001"))
    staged, saved = STATES[state]
    assert scratch.at("HEAD", FILE) == WEB.replace("8000", "8001")
    assert scratch.at("", FILE) == staged.replace("8000", "8001")
    assert scratch.read(FILE) == saved.replace("8000", "8001")
    assert scratch.status() == before
    assert done.notes == ()


@pytest.mark.parametrize("state", STATES)
def test_a_document_that_is_put_keeps_what_it_replaces_findable(
    scratch: Scratch, state: str
) -> None:
    arrange(scratch, state)
    done = write(scratch, put(PUT))
    for text in (scratch.at("HEAD", FILE), scratch.at("", FILE), scratch.read(FILE)):
        assert "command: caddy run" in text
        assert "LOG_LEVEL" not in text
        assert "description" not in text
    assert_kept(scratch, state, done.notes)


@pytest.mark.parametrize("state", STATES)
def test_a_removed_service_keeps_its_uncommitted_text_findable(
    scratch: Scratch, state: str
) -> None:
    arrange(scratch, state)
    done = write(scratch, remove())
    assert "web.yaml" not in scratch.git("ls-tree", "-r", "--name-only", "HEAD")
    assert FILE not in scratch.staged_entries()
    assert not scratch.path(FILE).exists()
    assert scratch.status() == []
    assert_kept(scratch, state, done.notes)


def assert_kept(scratch: Scratch, state: str, notes: tuple[str, ...]) -> None:
    """Check that every uncommitted text can be had with the command that a note names."""
    kept = {scratch.git(*note.rpartition(": git ")[2].split()) for note in notes}
    assert kept == set(STATES[state]) - {WEB}
    assert all(FILE in note for note in notes)


def test_an_edit_of_the_same_value_is_overruled_as_asked(scratch: Scratch) -> None:
    scratch.write(FILE, WEB.replace("8000", "7777"))
    write(scratch, set_field("8001"))
    assert scratch.read(FILE) == WEB.replace("8000", "8001")
    assert scratch.status() == []


def test_a_value_that_was_saved_before_is_committed_and_becomes_clean(scratch: Scratch) -> None:
    scratch.write(FILE, WEB.replace("8000", "8001"))
    assert write(scratch, set_field("8001")).changed
    assert scratch.status() == []


def test_a_committed_value_reaches_a_saved_file_that_says_otherwise(scratch: Scratch) -> None:
    scratch.write(FILE, WEB.replace("8000", "7777"))
    done = write(scratch, set_field("8000"))
    assert (done.changed, done.files) == (False, (FILE,))
    assert scratch.read(FILE) == WEB
    assert "it now too" in done.notes[0]


def test_other_line_ends_of_the_saved_file_stay(scratch: Scratch) -> None:
    scratch.path(FILE).write_bytes(WEB.replace("\n", "\r\n").encode())
    write(scratch, set_field("8001"))
    expected = WEB.replace("8000", "8001")
    assert scratch.at("HEAD", FILE) == expected
    assert scratch.path(FILE).read_bytes() == expected.replace("\n", "\r\n").encode()
    assert write(scratch, put(PUT)).notes == ()


def test_a_service_that_is_saved_only_is_changed_there_and_not_committed(
    scratch: Scratch,
) -> None:
    head = scratch.head()
    scratch.write("services.d/api.yaml", "name: api\ncommand: api  # mine\n")
    done = write(scratch, set_field("serve", "command", service="api"))
    assert scratch.read("services.d/api.yaml") == "name: api\ncommand: serve  # mine\n"
    assert (done.changed, done.commit, scratch.head()) == (False, head, head)
    assert scratch.status() == ["?? services.d/api.yaml"]
    assert done.notes == (
        "api is changed in the saved files only: the last commit does not have it",
    )


def test_a_service_that_is_staged_only_is_changed_there_and_not_committed(
    scratch: Scratch,
) -> None:
    scratch.write("services.d/api.yaml", "name: api\ncommand: api\n")
    scratch.git("add", "services.d/api.yaml")
    done = write(scratch, set_field("serve", "command", service="api"))
    assert not done.changed
    assert scratch.at("", "services.d/api.yaml") == "name: api\ncommand: serve\n"
    assert scratch.status() == ["A  services.d/api.yaml"]


def test_a_service_that_is_nowhere_is_an_error_and_changes_nothing(scratch: Scratch) -> None:
    before = scratch.head()
    with pytest.raises(WeaverError, match="nope"):
        write(scratch, set_field("1", service="nope"))
    assert (scratch.head(), scratch.status()) == (before, [])


def test_of_several_services_one_that_is_missing_refuses_all(scratch: Scratch) -> None:
    with pytest.raises((NotFoundError, ManifestError)):
        write(scratch, set_field("1"), set_field("1", service="nope"))
    assert scratch.status() == []


def test_an_untracked_file_that_is_put_becomes_tracked(scratch: Scratch) -> None:
    scratch.write("services.d/api.yaml", "# notes\nname: api\ncommand: api\n")
    done = write(scratch, put("name: api\ncommand: serve\n", "api"))
    assert done.changed
    assert "command: serve" in scratch.at("HEAD", "services.d/api.yaml")
    assert "command: serve" in scratch.read("services.d/api.yaml")
    assert "# notes" in scratch.read("services.d/api.yaml")


def test_an_intended_file_becomes_tracked(scratch: Scratch) -> None:
    text = "name: api\ncommand: api\n"
    scratch.write("services.d/api.yaml", text)
    scratch.git("add", "-N", "services.d/api.yaml")
    write(scratch, put(text, "api"))
    assert scratch.at("HEAD", "services.d/api.yaml") == text
    assert scratch.status() == []


@pytest.mark.parametrize("staged", [True, False], ids=["staged", "saved-only"])
def test_a_removal_of_theirs_is_not_undone_by_a_set(scratch: Scratch, staged: bool) -> None:
    scratch.path(FILE).unlink()
    if staged:
        scratch.git("add", "-A")
    before = scratch.status()
    done = write(scratch, set_field("8001"))
    assert scratch.at("HEAD", FILE) == WEB.replace("8000", "8001")
    assert not scratch.path(FILE).exists()
    assert scratch.status() == before
    assert any("saved files were left as they are" in note for note in done.notes)


def test_a_service_of_theirs_under_removal_comes_back_when_it_is_put(scratch: Scratch) -> None:
    scratch.git("rm", "-q", FILE)
    write(scratch, put(PUT))
    assert "caddy" in scratch.read(FILE)
    assert "caddy" in scratch.at("", FILE)


def test_a_removal_that_they_have_saved_already_is_committed(scratch: Scratch) -> None:
    scratch.path(FILE).unlink()
    done = write(scratch, remove())
    assert (done.changed, done.notes) == (True, ())
    assert scratch.status() == []


def test_a_service_that_is_saved_only_is_removed_and_its_text_kept(scratch: Scratch) -> None:
    text = "name: api\ncommand: api\n"
    scratch.write("services.d/api.yaml", text)
    done = write(scratch, remove("api"))
    assert (done.changed, done.files) == (False, ("services.d/api.yaml",))
    assert scratch.status() == []
    said, kept = done.notes
    assert said == "api is removed from the saved files; the last commit does not have it"
    assert scratch.git(*kept.rpartition(": git ")[2].split()) == text


def test_a_removal_of_what_is_nowhere_is_an_error(scratch: Scratch) -> None:
    with pytest.raises(NotFoundError):
        write(scratch, remove("nope"))


def test_a_saved_file_that_is_broken_just_now_is_left_alone(scratch: Scratch) -> None:
    broken = WEB.replace("  PORT", "\tPORT: [")
    scratch.write(FILE, broken)
    done = write(scratch, set_field("8001"))
    assert scratch.at("HEAD", FILE) == WEB.replace("8000", "8001")
    assert scratch.read(FILE) == broken
    assert any("left as they are" in note for note in done.notes)


def test_another_broken_file_is_in_nobodys_way(scratch: Scratch) -> None:
    scratch.write("services.d/other.yaml", "name: [\n")
    assert write(scratch, set_field("8001")).changed
    assert scratch.status() == ["?? services.d/other.yaml"]


def test_unmerged_manifests_are_refused_by_name(scratch: Scratch) -> None:
    scratch.write(FILE, WEB.replace("8000", "1"))
    scratch.git("stash", "-q")
    scratch.write(FILE, WEB.replace("8000", "2"))
    scratch.commit("two")
    scratch.git("stash", "pop", check=False)
    with pytest.raises(ConflictError, match="nobody has resolved") as caught:
        write(scratch, set_field("8001"))
    assert f"git add {FILE}" in caught.value.mend


@pytest.mark.parametrize("name", ["../../out", "../x", "a/../../x", ".hidden"])
def test_g13_no_service_name_leads_out_of_the_folder(scratch: Scratch, name: str) -> None:
    before = sorted(scratch.top.parent.rglob("*.yaml"))
    with pytest.raises(WeaverError):
        write(scratch, put(f"name: {name}\ncommand: x\n", name))
    assert sorted(scratch.top.parent.rglob("*.yaml")) == before
    assert scratch.status() == []


@pytest.mark.parametrize("link", ["file", "folder", "inner"])
def test_g12_nothing_is_written_through_a_link(scratch: Scratch, link: str) -> None:
    outside = scratch.top.parent / "outside"
    outside.mkdir()
    (outside / "api.yaml").write_text("name: elsewhere\n")
    scratch.write("shared/api.yaml", "name: api\ncommand: api\n")
    intent: Intent = set_field("x", "command", service="api")
    if link == "file":
        scratch.path("services.d/api.yaml").symlink_to("../shared/api.yaml")
    elif link == "folder":
        scratch.git("rm", "-rq", "services.d")
        scratch.path("services.d").symlink_to(outside)
        intent = put("name: api\ncommand: api\n", "api")
    else:
        scratch.path("services.d/api.yaml").symlink_to(outside / "api.yaml")
        intent = put("name: api\ncommand: api\n", "api")
    scratch.commit("link")
    head = scratch.head()
    words = {"file": "it is a link", "folder": "is a link", "inner": "no manifest stands there"}
    with pytest.raises(WeaverError, match=words[link]):
        write(scratch, intent)
    assert scratch.head() == head
    assert (outside / "api.yaml").read_text() == "name: elsewhere\n"
    assert scratch.read("shared/api.yaml") == "name: api\ncommand: api\n"
    assert list(outside.iterdir()) == [outside / "api.yaml"]
