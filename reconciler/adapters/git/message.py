"""Word the commits that Weaver writes, and read such words again.

The trailers are a record that tools rely on, so nothing a person types (a reason, a subject, a
name) can add a line to a message or change how the last paragraph reads.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.ports import Author, CommitPart, CommitRequest

COMMITTER_NAME = "Weaver"
COMMITTER_EMAIL = "weaver@weaver.invalid"
SUBJECT_LIMIT = 120
REASON_LIMIT = 1000
NAME_LIMIT = 200
IDENTITY_NOTE = (
    "git does not know your name, so the author is {author}; "
    'mend: git config --global user.name "Your Name" and user.email you@example.org'
)

_JOINERS = "\u200c\u200d"
"""Formatting marks that some scripts need inside words."""
_CRUD = " .,:;<>\"\\'\t"
"""What git itself cuts from the ends of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A name and an address as a commit shows them."""

    name: str
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


def identify(author: Author) -> Identity:
    """Give the author's identity, or one made of the uid where git knows none.

    >>> str(identify(Author(name="", email="", uid=1000)))
    'uid:1000 <uid-1000@weaver.invalid>'
    """
    name = _one_line(author.name.replace("<", "").replace(">", ""), NAME_LIMIT).strip(_CRUD)
    email = "".join(_one_line(author.email, NAME_LIMIT).split()).strip(_CRUD)
    email = email.replace("<", "").replace(">", "")
    if not name or not email:
        return Identity(name=f"uid:{author.uid}", email=f"uid-{author.uid}@weaver.invalid")
    return Identity(name=name, email=email)


def is_anonymous(identity: Identity) -> bool:
    """Tell whether an identity was made of a uid."""
    return identity.name.startswith("uid:") and identity.email.endswith("@weaver.invalid")


def compose(request: CommitRequest, extra: Sequence[tuple[str, str]] = ()) -> str:
    """Give the whole message: a subject, and trailers as its last paragraph."""
    trailers = (
        ("Weaver-Op", request.op),
        ("Weaver-Op-Id", request.op_id),
        ("Weaver-Actor", f"uid:{request.author.uid}"),
        ("Weaver-Source", request.source),
        ("Weaver-Services", ", ".join(request.services)),
        ("Weaver-Reason", _one_line(request.reason, REASON_LIMIT)),
        *(("Weaver-Part", _told_part(part)) for part in request.parts),
        *extra,
    )
    lines = [f"{key}: {text}" for key, value in trailers if (text := _one_line(value))]
    return f"{subject_of(request)}\n\n" + "".join(f"{line}\n" for line in lines)


def _told_part(part: CommitPart) -> str:
    r"""Tell one of several operations of a commit: `3f2c apply web, db: why`.

    >>> _told_part(CommitPart(op="apply", op_id="3f2c", services=("web", "db"), reason="a\nb"))
    '3f2c apply web, db: a b'
    """
    reason = _one_line(part.reason, REASON_LIMIT)
    return f"{part.op_id} {part.op} {', '.join(part.services)}" + (f": {reason}" if reason else "")


def subject_of(request: CommitRequest) -> str:
    """Give the subject as one line of bounded length."""
    subject = _one_line(request.subject, SUBJECT_LIMIT)
    return subject or _one_line(f"{request.op} {', '.join(request.services)}", SUBJECT_LIMIT)


def reflog_note(request: CommitRequest) -> str:
    """Give the line by which `git reflog` shows the commit."""
    return _one_line(f"weaver {request.op}: {subject_of(request)}")


def _one_line(text: str, limit: int | None = None) -> str:
    """Make any text one line: no breaks, no controls, nothing that reorders what is shown."""
    plain = "".join(_plain(char) for char in text)
    line = " ".join(plain.encode(errors="replace").decode().split())
    if limit is not None and len(line) > limit:
        line = line[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return line


def _plain(char: str) -> str:
    """Make a space of what could break a line, and nothing of what reorders what is shown."""
    category = unicodedata.category(char)
    if category in {"Cc", "Cs", "Zl", "Zp"}:
        return " "
    return "" if category == "Cf" and char not in _JOINERS else char


def parse_trailers(text: str) -> Mapping[str, str]:
    r"""Read `Key: value` lines as git printed them; of a repeated key the last one counts.

    >>> parse_trailers("Weaver-Op: set\nweaver-services: web, db\n")
    {'Weaver-Op': 'set', 'Weaver-Services': 'web, db'}
    """
    pairs = (line.partition(":") for line in text.splitlines())
    return {
        "-".join(part.capitalize() for part in key.strip().split("-")): value.strip()
        for key, colon, value in pairs
        if colon
    }


def services_in(trailers: Mapping[str, str]) -> tuple[str, ...]:
    """Give the services that a commit of ours says it changed."""
    names = trailers.get("Weaver-Services", "").split(",")
    return tuple(name.strip() for name in names if name.strip())
