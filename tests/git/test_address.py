"""What people name as a repository, a branch or a folder: git sees none of what it could obey."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.git.remote.address import check_branch, check_folder, check_url, shown
from reconciler.ports import ManifestError

BASE = Path("/srv/here")


@pytest.mark.parametrize(
    ("text", "url", "local"),
    [
        ("https://example.org/team/deploy.git", "https://example.org/team/deploy.git", None),
        ("http://[::1]:8080/d", "http://[::1]:8080/d", None),
        ("ssh://git@example.org:2222/~/d.git", "ssh://git@example.org:2222/~/d.git", None),
        ("git@example.org:team/deploy.git", "git@example.org:team/deploy.git", None),
        ("example.org:deploy", "example.org:deploy", None),
        ("git://example.org/d", "git://example.org/d", None),
        ("/srv/deploy.git", "/srv/deploy.git", "/srv/deploy.git"),
        ("../deploy.git", "/srv/deploy.git", "/srv/deploy.git"),
        ("deploy", "/srv/here/deploy", "/srv/here/deploy"),
        ("./odd:name", "/srv/here/odd:name", "/srv/here/odd:name"),
        ("file:///srv/a%20b.git", "file:///srv/a%20b.git", "/srv/a b.git"),
        ("file://localhost/srv/d.git", "file:///srv/d.git", "/srv/d.git"),
    ],
)
def test_an_address_is_taken_as_git_takes_it(text: str, url: str, local: str | None) -> None:
    found = check_url(text, BASE)
    assert (found.url, found.local) == (url, local and Path(local))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ext::sh -c 'touch /tmp/owned'",
        "fd::17/foo",
        "::x",
        "persistent-https::example.org/x",
        "--upload-pack=touch /tmp/owned",
        "-oProxyCommand=touch",
        "ssh://-oProxyCommand=touch/x",
        "ssh://-o@example.org/x",
        "-oProxyCommand=x:y",
        "host:-x",
        "ftp://example.org/x",
        "ext://example.org/x",
        "file://elsewhere/srv/d.git",
        "https:///nowhere",
        "https://[::1/x",
        "https://example.org:port/x",
        "https://example.org/a\nb",
        "x" * 3000,
    ],
)
def test_g13_what_git_would_obey_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(ManifestError, match="cannot follow") as refused:
        check_url(text, BASE)
    assert refused.value.mend.startswith("give https://")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://ana:secret@example.org/d", "https://***@example.org/d"),
        ("https://ghp_token@example.org/d", "https://***@example.org/d"),
        ("ssh://ana:secret@example.org/d", "ssh://ana@example.org/d"),
        ("git@example.org:d", "git@example.org:d"),
        ("/srv/a@b", "/srv/a@b"),
    ],
)
def test_an_address_is_shown_without_its_secret(text: str, safe: str) -> None:
    assert shown(text) == safe


@pytest.mark.parametrize("name", ["main", "release/2.x", "größe", "a.b", "refs/heads/main"])
def test_a_branch_is_taken_by_its_name(name: str) -> None:
    assert check_branch(name) == name.removeprefix("refs/heads/")


@pytest.mark.parametrize(
    "name",
    [
        *("", "-x", "--all", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a"),
        *("a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "@", "a@{1}", "a\tb"),
        "x" * 300,
    ],
)
def test_what_is_no_branch_is_refused(name: str) -> None:
    with pytest.raises(ManifestError, match="no branch's name"):
        check_branch(name)


@pytest.mark.parametrize(
    ("text", "folder"), [("", ""), (".", ""), ("deploy", "deploy"), ("a/../b/./c/", "b/c")]
)
def test_a_folder_is_taken_as_git_writes_it(text: str, folder: str) -> None:
    assert check_folder(text) == folder


@pytest.mark.parametrize("text", ["/etc", "..", "../x", "a/../..", "-x", "a\nb"])
def test_a_folder_outside_of_the_repository_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="not below the repository"):
        check_folder(text)
