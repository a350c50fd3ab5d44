"""`weaver init`: make a repository ready."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import screen
from reconciler.cli.gitcli import create, first_commit, top_level
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.cli.templates import (
    EXAMPLE,
    SCHEMA_PLACE,
    SERVICE_SCHEMA,
    SETTINGS,
    SETTINGS_SCHEMA,
)
from reconciler.manifest.schema import schema_text

IGNORED = ".weaver/"
SUBJECT = "Run services with Weaver"


@command("init")
@click.argument("directory", required=False, type=click.Path(file_okay=False))
def init_command(session: Session, directory: str | None) -> None:
    """Make a repository ready: services.d/ with an example, weaver.yaml, .gitignore, schemas.

    Nothing that exists is changed but .gitignore, and nothing is started.
    """
    root = Path(directory or session.directory or ".").resolve()
    root.mkdir(parents=True, exist_ok=True)
    top = top_level(root)
    if top is None:
        create(root)
        screen.out(f"made a git repository in {root}")
    written = [*_files(root), *_ignore(root)]
    for path, about in written:
        screen.out(f"  {path:<22} {about}".rstrip())
    if not written:
        screen.out(f"{root} is ready already; nothing changed")
    committed = _commit(root, written) if top is None else False
    _advise(session, root, committed or not written)


def _files(root: Path) -> list[tuple[str, str]]:
    """Write what is missing; give each new file and what it is for."""
    wanted = [
        ("services.d/hello.yaml", EXAMPLE, "an example; it stays stopped until you start it"),
        ("weaver.yaml", SETTINGS, "settings, all optional"),
        (f"{SCHEMA_PLACE}/{SERVICE_SCHEMA}", schema_text(SERVICE_SCHEMA), "for editors"),
        (f"{SCHEMA_PLACE}/{SETTINGS_SCHEMA}", schema_text(SETTINGS_SCHEMA), "for editors"),
    ]
    has_services = (root / "services.d").is_dir()
    return [
        (path, about)
        for path, text, about in wanted
        if not (has_services and path == "services.d/hello.yaml") and _write(root / path, text)
    ]


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def _ignore(root: Path) -> list[tuple[str, str]]:
    """Keep the state directory out of git."""
    path = root / ".gitignore"
    text = path.read_text("utf-8") if path.exists() else ""
    if any(line.strip().strip("/") == IGNORED.strip("/") for line in text.splitlines()):
        return []
    gap = "" if not text or text.endswith("\n") else "\n"
    path.write_text(f"{text}{gap}{IGNORED}\n", encoding="utf-8")
    return [(".gitignore", f"leaves out {IGNORED}, where Weaver keeps its state")]


def _commit(root: Path, written: list[tuple[str, str]]) -> bool:
    """Make the first commit of a repository that is ours from its first file on."""
    commit = first_commit(root, [path for path, _ in written], SUBJECT)
    if commit:
        screen.out(f"committed as {commit}")
    return bool(commit)


def _advise(session: Session, root: Path, committed: bool) -> None:
    """Say what to type next."""
    if session.quiet:
        return
    steps = [
        ("weaver up --detach", "run the daemon; without --detach it stays in front"),
        ("weaver start hello", "start the example: http://127.0.0.1:8000"),
        ("weaver register web -- python3 -m http.server 8123", ""),
        ("", "or: add a service from a command line"),
        ("weaver status", "see what runs"),
    ]
    if not committed:
        steps.insert(0, ("git add -A && git commit", f'-m "{SUBJECT}"'))
    if root != Path.cwd():
        steps.insert(0, (f"cd {root}", ""))
    screen.out("\nNext:")
    for words, about in steps:
        screen.out(f"  {words:<22} {about}".rstrip())
