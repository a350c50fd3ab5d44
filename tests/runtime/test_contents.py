"""What services load counts by its content: hashed once it rests, and never by its date."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.adapters.contents import Hasher
from reconciler.manifest.codes import Code
from reconciler.runtime.choosing import loaded_files, with_contents
from tests.core.building import manifests, service


def hasher(root: Path) -> Hasher:
    return Hasher(root, pause=lambda _: None)


def test_a_file_counts_by_its_content_and_not_by_its_date(tmp_path: Path) -> None:
    look, conf = hasher(tmp_path), tmp_path / "conf"
    conf.write_text("one")
    first, _ = look(["conf"])
    os.utime(conf, (1, 1))
    assert look(["conf"])[0] == first
    conf.write_text("two")
    assert look(["conf"])[0] != first
    conf.write_text("one")
    assert look(["conf"])[0] == first


def test_a_file_that_is_being_written_counts_as_it_was_before(tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.write_text("one")
    is_written = False

    def write(_: float) -> None:
        if is_written:
            with conf.open("a") as file:
                file.write("more")

    look = Hasher(tmp_path, pause=write)
    before, _ = look(["conf"])
    conf.write_text("half of it")
    is_written = True
    assert look(["conf"])[0] == before
    is_written = False
    assert look(["conf"])[0] != before


def test_why_a_file_cannot_be_had_is_said_in_a_warning_and_the_others_count(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("one")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    paths = ("conf", "folder", "gone", "pipe")
    hashes, problems = hasher(tmp_path)(paths)
    assert list(hashes) == ["conf"]
    assert problems == {
        "folder": "it is a folder",
        "gone": "no such file or directory",
        "pipe": "it is not a regular file",
    }
    web = service("web", reload_on=paths)
    found = with_contents(manifests(web, service("api")), hashes, problems)
    assert loaded_files(found) == set(paths)
    assert found.definitions[web.name].spec.loads == hashes
    assert {fault.code for fault in found.diagnostics} == {Code.NO_RELOAD_FILE}
    assert all(fault.is_warning for fault in found.diagnostics)
    assert "a change of gone (reloadOn) cannot be seen" in str(found.diagnostics[1])
