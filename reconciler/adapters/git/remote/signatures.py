"""Ask git who signed commits, by keys that the host names and no repository can change."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from reconciler.adapters.git import plumbing
from reconciler.adapters.git.checkout import Repo
from reconciler.core.trust import GOOD, MOST_CHECKED, UNCHECKED, Keys, Signature

ASK_AGAIN_S = 60.0
"""After so long what was not good is looked at once more: a program may have been missing."""

_FIELDS = ("%H", "%G?", "%GS", "%an <%ae>")
_SETTINGS = (
    "gpg.program=gpg",
    "gpg.openpgp.program=gpg",
    "gpg.ssh.program=ssh-keygen",
    # Certificates of X.509 are nobody's whom a host could name.
    "gpg.x509.program=false",
    "gpg.minTrustLevel=marginal",
    "log.showSignature=false",
)
"""What a repository might have in its own configuration."""
_KEYRING = ("pubring.kbx", "pubring.gpg", "public-keys.d/pubring.db", "trustdb.gpg", "gpg.conf")

Stamp = tuple[object, ...]


class Signers:
    """Asks who signed commits, and remembers it while the keys stay as they are.

    What is held is asked about at each look, so it must not cost a program for each commit.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._keys: Stamp = ()
        self._known: dict[str, tuple[Signature, float]] = {}

    def of(
        self, repo: Repo, old: str, new: str, keys: Keys, *, every: bool
    ) -> tuple[Signature, ...]:
        """Give the signature of a commit, or of every one since `old`, along all parents.

        Without an `old` one nothing is known of what came before: the newest alone is looked at.
        Of more than `MOST_CHECKED` commits none is checked, and one more than that are given.
        """
        commits = _commits(repo, old, new) if every and old else [new]
        if len(commits) > MOST_CHECKED:
            return tuple(map(_unchecked, commits))
        self._forget(commits, (keys, *_stamps(keys)))
        now = self._clock()
        missing = [commit for commit in commits if commit not in self._known]
        for one in _asked(repo, missing, keys):
            self._known[one.commit] = (one, now)
        return tuple(self._known[commit][0] for commit in commits)

    def _forget(self, commits: Sequence[str], keys: Stamp) -> None:
        """Keep what is asked about again, as long as it holds."""
        if keys != self._keys:
            self._known, self._keys = {}, keys
        now = self._clock()
        self._known = {
            commit: (one, at)
            for commit, (one, at) in self._known.items()
            if commit in commits and (one.status == GOOD or now - at < ASK_AGAIN_S)
        }


def fault_of(keys: Keys) -> str:
    """Say why a good signature would not count; empty where none is known to fail.

    What is wrong with one of two ways is said though the other may do: somebody wanted both.
    """
    if not keys.allowed_signers and not keys.gpg_home:
        return "it names neither allowedSigners nor gpgHome, so nobody's signature is good"
    for setting, path, program, is_there in (
        ("allowedSigners", keys.allowed_signers, "ssh-keygen", os.path.isfile),
        ("gpgHome", keys.gpg_home, "gpg", os.path.isdir),
    ):
        if path and not is_there(path):
            return f"{setting} is not there: {path}"
        if path and shutil.which(program) is None:
            return f"{setting} needs {program}, which is not installed"
    return ""


def _commits(repo: Repo, old: str, new: str) -> list[str]:
    """Give every commit since `old`, newest first, and not many more than are checked."""
    most = f"--max-count={MOST_CHECKED + 1}"
    return plumbing.run(repo, "rev-list", most, f"{old}..{new}", "--").decode().split()


def _asked(repo: Repo, commits: Sequence[str], keys: Keys) -> Iterator[Signature]:
    """Ask about all at once; where git cannot read one, about each by itself."""
    if not commits:
        return
    try:
        found = _log(repo, commits, keys)
    except plumbing.GitFailedError:
        if len(commits) == 1:
            yield _unchecked(commits[0])
            return
        for commit in commits:
            yield from _asked(repo, [commit], keys)
        return
    for commit in commits:
        yield found.get(commit) or _unchecked(commit)


def _log(repo: Repo, commits: Sequence[str], keys: Keys) -> dict[str, Signature]:
    settings = (*_SETTINGS, f"gpg.ssh.allowedSignersFile={keys.allowed_signers or os.devnull}")
    said = plumbing.run(
        repo,
        *(word for setting in settings for word in ("-c", setting)),
        *("log", "-z", "--no-walk=unsorted", f"--format={'%x00'.join(_FIELDS)}"),
        *(*commits, "--"),
        # A home that is not there has no keys in it, unlike that of the user.
        extra={"GNUPGHOME": keys.gpg_home or os.devnull},
    )
    fields = [_printable(field) for field in said.decode(errors="replace").split("\0")]
    rows = (fields[at : at + len(_FIELDS)] for at in range(0, len(fields) - 3, len(_FIELDS)))
    return {
        commit: Signature(commit=commit, status=status, signer=signer, author=author)
        for commit, status, signer, author in rows
    }


def _printable(text: str) -> str:
    """Give a text that may be shown on a terminal: names in commits are what anybody wrote."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _unchecked(commit: str) -> Signature:
    return Signature(commit=commit, status=UNCHECKED, signer="", author="somebody")


def _stamps(keys: Keys) -> Iterator[Stamp]:
    """Tell the states of the files with keys apart."""
    places = [Path(keys.allowed_signers)] if keys.allowed_signers else []
    places += [Path(keys.gpg_home) / name for name in _KEYRING] if keys.gpg_home else []
    for place in places:
        try:
            found = place.stat()
        except OSError:
            yield (0,)
        else:
            yield (found.st_ino, found.st_size, found.st_mtime_ns)
