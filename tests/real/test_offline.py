"""Manifests read and compared with no daemon."""

from __future__ import annotations

import pytest

from reconciler import app
from reconciler.adapters.git.revisions import Span
from reconciler.model.change import Verb
from reconciler.ports import NotFoundError
from tests.real.station import Station

pytestmark = pytest.mark.real


def two_commits(here: Station) -> tuple[str, str]:
    here.define("web", more="env: {PORT: '8000'}\n")
    here.define("api")
    first = here.commit()
    here.define("web", more="env: {PORT: '8001'}\n")
    here.define("new")
    return first, here.commit()


def test_two_commits_are_compared(here: Station) -> None:
    first, second = two_commits(here)
    offline = app.open_offline(here.root)
    assert offline.span(f"{first[:8]}..HEAD") == Span(base=first, head=second, tip=first)
    preview = offline.preview(offline.at(first), offline.at("HEAD"))
    changes = {str(change.service): change for change in preview.changes}
    assert changes.keys() == {"web", "new"}
    assert changes["web"].verbs == (Verb.RESTART,)
    assert [(f.path, f.before, f.after) for f in changes["web"].fields] == [
        ("env.PORT", "8000", "8001")
    ]
    assert changes["new"].verbs == (Verb.START,)
    assert preview.unchanged == 1
    assert {file.path for file in preview.files} == {
        "services.d/web.yaml",
        "services.d/new.yaml",
    }


def test_saved_files_are_compared_with_the_commit(here: Station) -> None:
    two_commits(here)
    offline = app.open_offline(here.root)
    assert offline.preview(offline.at("HEAD"), offline.saved()).is_empty
    here.file("web").write_text("name: web\ncommand: [\n")
    preview = offline.preview(offline.at("HEAD"), offline.saved())
    assert [fault.source.file for fault in preview.invalid] == ["services.d/web.yaml"]
    assert offline.saved().manifests.revision.dirty == ("services.d/web.yaml",)
    assert not [change for change in preview.changes if Verb.STOP in change.verbs]


def test_staged_files_are_those_of_the_next_commit(here: Station) -> None:
    two_commits(here)
    here.define("web", more="env: {PORT: '9000'}\n")
    here.git("add", "services.d/web.yaml")
    here.define("web", more="env: {PORT: '9999'}\n")
    offline = app.open_offline(here.root)
    [change] = offline.preview(offline.at("HEAD"), offline.staged()).changes
    assert [(field.before, field.after) for field in change.fields] == [("8001", "9000")]


def test_files_from_elsewhere_are_judged_on_top_of_the_saved_ones(here: Station) -> None:
    two_commits(here)
    offline = app.open_offline(here.root)
    given = offline.given({"services.d/more.yaml": b"name: more\ncommand: sleep 1\n"})
    [change] = offline.preview(offline.saved(), given).changes
    assert (change.service, change.verbs) == ("more", (Verb.START,))


def test_a_revision_that_is_none_is_said(here: Station) -> None:
    two_commits(here)
    with pytest.raises(NotFoundError, match="nonsense"):
        app.open_offline(here.root).at("nonsense")
