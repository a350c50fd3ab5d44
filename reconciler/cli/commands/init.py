"""`weaver init`: make a repository ready."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler import app
from reconciler.cli import screen
from reconciler.cli.gitcli import create, first_commit, top_level
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.cli.templates import (
    EXAMPLE,
    SCHEMA_PLACE,
    SETTINGS,
)
from reconciler.manifest.schema import SERVICE, WEAVER, schema_bytes

EXAMPLE_PLACE = "services.d/hello.yaml"
IGNORED = ".weaver/"
SUBJECT = "Run services with Weaver"


@command("init")
@click.argument("directory", required=False, type=click.Path(file_okay=False))
@click.option("--bare", is_flag=True, help="A repository to push to, with hooks that answer.")
def init_command(session: Session, directory: str | None, *, bare: bool) -> None:
    """Make a repository ready: services.d/ with an example, weaver.yaml, .gitignore, schemas.

    Nothing that exists is changed but .gitignore, and nothing is started. With --bare, one without
    files that refuses a push with invalid manifests, and tells what comes of the others.
    """
    root = Path(directory or session.directory or ".").resolve()
    if bare:
        _make_bare(session, root)
        return
    root.mkdir(parents=True, exist_ok=True)
    top = top_level(root)
    if top is None:
        create(root)
        screen.out(f"made a git repository in {root}")
    written = [*_files(root), *_ignore(root)]
    for path, about in written:
        screen.out(f"  {path:<23} {about}".rstrip())
    if not written:
        screen.out(f"{root} is ready already; nothing changed")
        return
    committed = top is None and _commit(root, written)
    if not session.quiet:
        _advise(root, committed=committed)


def _make_bare(session: Session, place: Path) -> None:
    """Make a repository that people push to, and say what to type next."""
    written = app.make_bare(place)
    for line in written:
        screen.out(f"  {line}")
    if not written:
        screen.out(f"{place} is ready already; nothing changed")
        return
    screen.out(f"{place} takes pushes to main")
    if not session.quiet:
        steps = [
            (f"weaver up --repo {place} --detach", "follow it: in the home of a daemon"),
            (f"git push {place} HEAD:main", "deploy: in a repository with services.d/"),
        ]
        screen.out("\nNext:")
        for words, about in steps:
            screen.out(f"  {words}\n      {about}")


def _files(root: Path) -> list[tuple[str, str]]:
    """Write what is missing or, of ours, outdated; give each file and what it is for."""
    has_services = (root / "services.d").is_dir()
    found = []
    if not has_services and _write(root / EXAMPLE_PLACE, EXAMPLE):
        found.append((EXAMPLE_PLACE, "an example; it stays stopped until you start it"))
    if _write(root / "weaver.yaml", SETTINGS):
        found.append(("weaver.yaml", "settings, all optional"))
    outdated = [name for name in (SERVICE, WEAVER) if _refresh(root / SCHEMA_PLACE / name, name)]
    if outdated:
        found.append((f"{SCHEMA_PLACE}/", "schemas, by which editors check and complete"))
    return found


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def _refresh(path: Path, name: str) -> bool:
    """Make a schema in the repository the one that this version checks by."""
    wanted = schema_bytes(name)
    if path.exists() and path.read_bytes() == wanted:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wanted)
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


def _advise(root: Path, *, committed: bool) -> None:
    """Say what to type next."""
    steps = [
        ("weaver up --detach", "run the daemon in the background"),
        ("weaver start hello", "start the example: http://127.0.0.1:8000"),
        ("weaver register NAME -- COMMAND", "add a service from a command line"),
        ("weaver status", "see what runs"),
    ]
    if not committed:
        steps.insert(0, (f'git add -A && git commit -m "{SUBJECT}"', ""))
    if root != Path.cwd():
        steps.insert(0, (f"cd {root}", ""))
    screen.out("\nNext:")
    for words, about in steps:
        screen.out(f"  {words:<33} {about}".rstrip())
