"""The hooks of a bare repository: what they say where the weaver that wrote them is gone."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import reconciler
from reconciler.adapters.git.serve import make_bare
from reconciler.ports import ConflictError


def hook(place: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [place / "hooks" / name], input="", capture_output=True, text=True, check=False, cwd=place
    )


@pytest.mark.parametrize("gone", ["the Python", "the package"])
def test_a_hook_whose_weaver_is_gone_lets_nothing_in_and_names_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    place = tmp_path / "the web's shop.git"
    if gone == "the Python":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no where" / "python3"))
    else:
        monkeypatch.setattr(reconciler, "__file__", str(tmp_path / "no where" / "__init__.py"))
    make_bare(place)
    refused = hook(place, "pre-receive")
    assert refused.returncode == 1
    said, mend = refused.stderr.splitlines()
    assert said.startswith("weaver: cannot check this push: ")
    assert said.endswith(" is gone")
    assert "no where" in said
    assert shlex.split(mend.partition("owner: ")[2]) == ["weaver", "init", "--bare", str(place)]
    told = hook(place, "post-receive")
    assert told.returncode == 0, "it is accepted by then"
    assert told.stderr.startswith("weaver: cannot tell what comes of this push: ")


def test_hooks_are_written_once_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "shop.git"
    assert len(make_bare(place)) == 2
    assert make_bare(place) == []
    (place / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(ConflictError, match="there is a hook of yours"):
        make_bare(place)
