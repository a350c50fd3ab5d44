"""Who signed a commit, by real keys of ssh and of gpg."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.adapters.git import plumbing
from reconciler.adapters.git.checkout import Repo, locate
from reconciler.adapters.git.edits import IntentEdit
from reconciler.adapters.git.remote.signatures import ASK_AGAIN_S, Signers, fault_of
from reconciler.adapters.git.writeback import writes_into
from reconciler.core.trust import Keys, faults
from tests.git.asking import request, set_field
from tests.git.scratch import Scratch

pytestmark = pytest.mark.real


class Person:
    """Somebody with an SSH key."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key = folder / name
        self.mail = f"{name}@example.org"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.key], check=True
        )

    def line(self, more: str = "") -> str:
        """Give the line of a file of allowed signers."""
        return f"{self.mail} {more}{self.key.with_suffix('.pub').read_text()}"

    def commit(self, scratch: Scratch, *words: str) -> str:
        """Commit something, signed."""
        options = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.key}"]
        scratch.git(*options, "commit", "-q", "-S", "--allow-empty", *(words or ("-m", "signed")))
        return scratch.head()


@pytest.fixture
def ana(tmp_path: Path) -> Person:
    return Person(tmp_path, "ana")


def letters(scratch: Scratch, old: str, keys: Keys, *, every: bool = True) -> str:
    """Give what git says of each commit since `old`, oldest first."""
    found = Signers().of(locate(scratch.root), old, scratch.head(), keys, every=every)
    return "".join(one.status for one in reversed(found))


def forge(scratch: Scratch, old: str, new: str) -> str:
    """Have a commit instead of the newest that differs from it in a text."""
    raw = scratch.git("cat-file", "commit", "HEAD")
    assert old in raw
    done = subprocess.run(
        ["git", "-C", scratch.top, "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=raw.replace(old, new, 1).encode(),
        capture_output=True,
        check=True,
    )
    scratch.git("reset", "-q", "--hard", done.stdout.decode().strip())
    return scratch.head()


def allowing(folder: Path, *lines: str) -> Keys:
    place = folder / "allowed"
    place.write_text("".join(lines))
    return Keys(allowed_signers=str(place))


def test_a_commit_counts_by_the_key_of_somebody_who_is_allowed(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    old = scratch.head()
    bob = Person(tmp_path, "bob")
    ana.commit(scratch)
    scratch.commit("unsigned, in the middle")
    bob.commit(scratch)
    ana.commit(scratch)
    keys = allowing(tmp_path, ana.line())
    assert letters(scratch, old, keys) == "GNUG"
    assert letters(scratch, old, keys, every=False) == "G"
    assert letters(scratch, "", keys) == "G"
    assert set(letters(scratch, old, Keys())) <= set("NUEB")
    found = Signers().of(locate(scratch.root), old, scratch.head(), keys, every=True)
    held = faults(found, "main", scratch.head())
    assert held is not None
    assert "by Ana <ana@example.org> is not signed" in held.because


def test_all_parents_of_a_merge_are_looked_at(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    old = ana.commit(scratch)
    scratch.git("switch", "-q", "-c", "side")
    scratch.commit("unsigned, on the side")
    scratch.git("switch", "-q", "main")
    ana.commit(scratch)
    options = ["-c", "gpg.format=ssh", "-c", f"user.signingKey={ana.key}"]
    scratch.git(*options, "merge", "-q", "-S", "--no-ff", "-m", "merge", "side")
    assert sorted(letters(scratch, old, allowing(tmp_path, ana.line()))) == ["G", "G", "N"]


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ('valid-before="20200101" ', False),
        ('valid-after="20990101" ', False),
        ('valid-after="20200101",valid-before="20990101" ', True),
        ('namespaces="file" ', False),
    ],
)
def test_a_key_counts_only_at_its_time_and_for_commits(
    scratch: Scratch, ana: Person, tmp_path: Path, more: str, good: bool
) -> None:
    ana.commit(scratch)
    assert (letters(scratch, "", allowing(tmp_path, ana.line(more))) == "G") is good


def test_a_commit_that_was_tampered_with_is_bad(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    ana.commit(scratch)
    forge(scratch, "signed\n", "tampered\n")
    assert letters(scratch, "", allowing(tmp_path, ana.line())) == "B"


def test_no_setting_of_the_repository_makes_a_signature_good(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    place = tmp_path / "theirs"
    place.write_text(ana.line())
    scratch.git("config", "gpg.ssh.allowedSignersFile", str(place))
    ana.commit(scratch)
    assert letters(scratch, "", Keys()) != "G"


def test_a_signature_that_git_cannot_read_is_of_its_commit_alone(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    old = ana.commit(scratch)
    scratch.commit("odd")
    forge(scratch, "\n\n", "\ngpgsig nonsense\n\n")
    ana.commit(scratch)
    assert letters(scratch, old, allowing(tmp_path, ana.line())) == "EG"


def test_a_certificate_and_a_name_for_the_terminal_pass_for_nothing(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    signed = "\ngpgsig -----BEGIN SIGNED MESSAGE-----\n MII=\n -----END SIGNED MESSAGE-----\n\n"
    scratch.commit("by a certificate")
    forge(scratch, "\n\n", signed)
    forge(scratch, "author Ana", "author \x1b[2JAna")
    keys = allowing(tmp_path, ana.line())
    (found,) = Signers().of(locate(scratch.root), "", scratch.head(), keys, every=True)
    assert found.status != "G"
    assert found.author == "\N{REPLACEMENT CHARACTER}[2JAna <ana@example.org>"


def test_programs_that_a_repository_names_are_not_run(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    liar = tmp_path / "liar"
    liar.write_text(f"#!/bin/sh\ntouch {ran}\n")
    liar.chmod(0o700)
    ana.commit(scratch)
    for kind in ("gpg", "gpg.ssh", "gpg.openpgp"):
        scratch.git("config", f"{kind}.program", str(liar))
    assert letters(scratch, "", allowing(tmp_path, ana.line())) == "G"
    assert not ran.exists()


def test_what_was_checked_is_not_checked_again_until_the_keys_change(
    scratch: Scratch, ana: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, bob, now = scratch.head(), Person(tmp_path, "bob"), [0.0]
    good, bad = ana.commit(scratch), bob.commit(scratch)
    keys, signers = allowing(tmp_path, ana.line()), Signers(lambda: now[0])
    asked: list[str] = []
    run = plumbing.run

    def noting(repo: Repo | None, *words: str, extra: Mapping[str, str] | None = None) -> bytes:
        asked.extend(word for word in words if word in (good, bad))
        return run(repo, *words, extra=extra)

    monkeypatch.setattr(plumbing, "run", noting)

    def look() -> tuple[str, list[str]]:
        asked.clear()
        found = signers.of(locate(scratch.root), old, bad, keys, every=True)
        return "".join(one.status for one in reversed(found)), list(asked)

    assert look() == ("GU", [bad, good])
    assert look() == ("GU", [])
    now[0] += ASK_AGAIN_S
    assert look() == ("GU", [bad])
    allowing(tmp_path, ana.line(), bob.line())
    assert look() == ("GG", [bad, good])


def test_of_too_many_commits_none_is_checked(
    scratch: Scratch, ana: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = scratch.head()
    for _ in range(4):
        ana.commit(scratch)
    keys = allowing(tmp_path, ana.line())
    for module in ("adapters.git.remote.signatures", "core.trust"):
        monkeypatch.setattr(f"reconciler.{module}.MOST_CHECKED", 2)
    found = Signers().of(locate(scratch.root), old, scratch.head(), keys, every=True)
    assert [one.status for one in found] == ["E"] * 3
    held = faults(found, "main", scratch.head())
    assert held is not None
    assert "more than 2 new commits" in held.because


def test_what_nothing_is_known_of_is_not_followed() -> None:
    assert faults([], "main", "b2b2") is not None


def test_weaver_signs_what_it_commits_into_a_checkout(
    scratch: Scratch, ana: Person, tmp_path: Path
) -> None:
    checkout, asked = locate(scratch.root), request(set_field("8001"))
    done = writes_into(checkout, str(ana.key))(asked, IntentEdit(intents=asked.intents))
    assert done.commit == scratch.head()
    assert letters(scratch, "", allowing(tmp_path, ana.line())) == "G"


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Path]:
    """Give a keyring of its own with one key, and end its agent."""
    if shutil.which("gpg") is None:
        pytest.skip("there is no gpg here")
    # The sockets of gpg's agent need a short path.
    home = Path("/tmp") / f"weaver-gpg-{os.getpid()}-{tmp_path.name[-8:]}"
    home.mkdir(mode=0o700)
    env = {**os.environ, "GNUPGHOME": str(home)}
    made = "Key-Type: eddsa\nKey-Curve: ed25519\nName-Real: Ana\nName-Email: ana@example.org\n"
    try:
        subprocess.run(
            ["gpg", "--batch", "--quiet", "--gen-key"],
            input=f"{made}Expire-Date: 0\n%no-protection\n%commit\n".encode(),
            env=env,
            check=True,
            capture_output=True,
        )
        yield home
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=env, check=False)
        shutil.rmtree(home, ignore_errors=True)


def test_a_key_of_gpg_counts_by_the_keyring_of_the_host(scratch: Scratch, keyring: Path) -> None:
    old = scratch.head()
    subprocess.run(
        ["git", "-C", scratch.top, "commit", "-q", "-S", "--allow-empty", "-m", "signed"],
        env={
            **os.environ,
            "GNUPGHOME": str(keyring),
            **{f"GIT_{who}_NAME": "Ana" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ana@example.org" for who in ("AUTHOR", "COMMITTER")},
        },
        check=True,
    )
    assert letters(scratch, old, Keys(gpg_home=str(keyring))) == "G"
    assert letters(scratch, old, Keys()) != "G"


def test_keys_that_cannot_verify_anything_have_their_fault_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signers, home = tmp_path / "signers", tmp_path / "keys"
    keys = Keys(allowed_signers=str(signers), gpg_home=str(home))
    assert "neither allowedSigners nor gpgHome" in fault_of(Keys())
    assert fault_of(keys) == f"allowedSigners is not there: {signers}"
    signers.touch()
    assert fault_of(keys) == f"gpgHome is not there: {home}"
    home.mkdir()
    assert fault_of(keys) == ""
    monkeypatch.setenv("PATH", "")
    assert fault_of(keys) == "allowedSigners needs ssh-keygen, which is not installed"
