"""Commit messages, read back by git itself."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.adapters.git.message import compose, identify, is_anonymous, parse_trailers
from reconciler.model.units import ServiceName
from reconciler.ports import Author, CommitRequest

ANA = Author(name="Ana", email="ana@example.org", uid=1000)


def request(subject: str = "web: set env.PORT=8001", reason: str = "") -> CommitRequest:
    """Give a request with these words."""
    return CommitRequest(
        intents=(),
        subject=subject,
        author=ANA,
        op="set",
        op_id="4f2a",
        services=(ServiceName("web"), ServiceName("db")),
        reason=reason,
    )


def test_a_message_is_a_subject_and_trailers() -> None:
    assert compose(request(reason="more room"), [("Weaver-Reverts", "abc")]) == (
        "web: set env.PORT=8001\n"
        "\n"
        "Weaver-Op: set\n"
        "Weaver-Op-Id: 4f2a\n"
        "Weaver-Actor: uid:1000\n"
        "Weaver-Source: cli\n"
        "Weaver-Services: web, db\n"
        "Weaver-Reason: more room\n"
        "Weaver-Reverts: abc\n"
    )


def test_without_a_subject_the_operation_speaks() -> None:
    assert compose(request(subject=" \n ")).startswith("set web, db\n\n")


BREAKS = "\nWeaver-Op: undo\n\nSigned-off-by: Root <root@example.org>"


@given(st.text(), st.text())
@example(f"web{BREAKS}", f"why{BREAKS}")
@example("web\r\nWeaver-Op: x", "why\x0bWeaver-Op: x\x85Weaver-Op: y\u2028Weaver-Op: z")
@example("\ud800", "\u202egnp.exe")
def test_nothing_typed_adds_a_line_or_a_trailer(subject: str, reason: str) -> None:
    lines = compose(request(subject, reason)).split("\n")
    assert lines[1] == ""
    assert lines[-1] == ""
    keys = [line.partition(":")[0] for line in lines[2:-1]]
    expected = ["Op", "Op-Id", "Actor", "Source", "Services", "Reason"]
    wanted = [f"Weaver-{key}" for key in expected]
    assert keys in (wanted, wanted[:-1])
    assert "\n".join(lines).encode().decode().splitlines() == lines[:-1]


@pytest.mark.real
def test_git_reads_our_trailers_and_no_injected_ones() -> None:
    text = compose(request(f"web{BREAKS}", f"why{BREAKS}"))
    found = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=text.encode(), stdout=-1, check=True
    )
    trailers = parse_trailers(found.stdout.decode())
    assert trailers["Weaver-Op"] == "set"
    assert "Signed-Off-By" not in trailers
    assert trailers["Weaver-Reason"].startswith("why Weaver-Op: undo Signed-off-by")


@pytest.mark.parametrize(
    ("name", "email"),
    [("", ""), ("Ana", ""), ("", "a@b"), ("<>", "a@b"), (" ., ", "a@b"), ("Ana", " <> ")],
)
def test_g26_without_a_usable_identity_the_uid_speaks(name: str, email: str) -> None:
    found = identify(Author(name=name, email=email, uid=1000))
    assert str(found) == "uid:1000 <uid-1000@weaver.invalid>"
    assert is_anonymous(found)


@given(st.text(), st.text())
def test_an_identity_stays_within_its_brackets(name: str, email: str) -> None:
    found = identify(Author(name=name, email=email, uid=0))
    for part in (found.name, found.email):
        assert part
        assert not set(part) & set("<>\n\0")
        assert part.encode()
