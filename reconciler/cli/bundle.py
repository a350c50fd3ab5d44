"""What a bug report needs, with the secrets taken out."""

from __future__ import annotations

import io
import platform
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from reconciler import __version__
from reconciler.cli import exits, place
from reconciler.cli.client import Daemon
from reconciler.cli.errors import CommandError
from reconciler.cli.gitcli import git
from reconciler.cli.masking import without_words
from reconciler.cli.session import Session
from reconciler.runtime import socket_file

LOG_LINES = 500
MOST_MANIFESTS = 200

QUESTIONS = {
    "status.json": "/v1/status",
    "plan.json": "/v1/plan",
    "events.json": "/v1/events?limit=500",
    "graph.json": "/v1/graph",
}

_BLOCK = re.compile(r"^(\s*)(-\s+)?(env|annotations):\s*(#.*)?$")
_INLINE = re.compile(r"^(\s*(?:-\s+)?(?:env|annotations):\s*)\{.*\}")
_ENTRY = re.compile(r"^(\s*[^\s:#][^:]*:)\s+.*$")


def redact(text: str) -> str:
    r"""Replace values of env, and what looks like a password or a token.

    >>> print(redact("env:\n  A: b\ncommand: x --token=abc"))
    env:
      A: ***
    command: x --token=***
    """
    lines = _without_env(text.splitlines())
    return "\n".join(map(without_words, lines))


def _without_env(lines: list[str]) -> Iterator[str]:
    """Replace the values in blocks of `env`, whatever they are."""
    inside: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if inside is not None and line.strip() and indent <= inside:
            inside = None
        if inside is not None:
            entry = _ENTRY.match(line)
            yield f"{entry[1]} ***" if entry else " " * indent + "***" * bool(line.strip())
            continue
        begins = _BLOCK.match(line)
        if begins:
            inside = len(begins[1])
        yield _INLINE.sub(r"\1{***}", line)


def pieces(session: Session) -> dict[str, str]:
    """Gather what is known, from the daemon where one answers."""
    root = Path(session.home())
    state = Path(socket_file.state_directory(str(root), place.state_dir(session.state_dir)))
    found = {"versions.txt": _versions(root)}
    daemon = session.daemon()
    found |= {name: _ask(daemon, path) for name, path in QUESTIONS.items()}
    for log in ("daemon.log", "holder.log"):
        found[log] = _tail(state / log)
    found |= {str(path.relative_to(root)): _tail(path) for path in _manifests(root)}
    return found


def write_bundle(path: Path, texts: Mapping[str, str]) -> None:
    """Write the texts into one archive, readable by its owner only."""
    try:
        with tarfile.open(path, "w:gz") as archive:
            for name, text in texts.items():
                member = tarfile.TarInfo(f"weaver-report/{name}")
                content = text.encode("utf-8", "replace")
                member.size, member.mode = len(content), 0o600
                archive.addfile(member, io.BytesIO(content))
        path.chmod(0o600)
    except OSError as error:
        raise CommandError(
            f"cannot write {path}: {error.strerror}",
            mend="name another place with -f FILE",
            code=exits.FAILED,
        ) from error


def _versions(root: Path) -> str:
    """Say what this runs on."""
    return "\n".join(
        [
            f"weaver {__version__}",
            f"Python {sys.version}",
            platform.platform(),
            git(root, "--version") or "git: none",
            f"HEAD {git(root, 'rev-parse', 'HEAD') or 'none'}",
            git(root, "status", "--porcelain", "--branch", "--", "services.d", "weaver.yaml") or "",
        ]
    )


def _ask(daemon: Daemon, path: str) -> str:
    """Give the daemon's answer, or why there is none."""
    try:
        return daemon.ask(path).body.decode("utf-8", "replace")
    except CommandError as failure:
        return failure.message


def _tail(path: Path) -> str:
    """Give the end of a text file, or why it cannot be read."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        return str(error.strerror)
    return "\n".join(lines[-LOG_LINES:])


def _manifests(root: Path) -> list[Path]:
    """Give weaver.yaml and the manifests, within a limit."""
    found = sorted(p for p in (root / "services.d").rglob("*") if p.suffix in {".yaml", ".yml"})
    return [root / "weaver.yaml", *found[:MOST_MANIFESTS]]
