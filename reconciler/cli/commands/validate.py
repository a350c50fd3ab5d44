"""`weaver validate`: check manifests, with no daemon and no repository needed."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.api.human import count, plain
from reconciler.api.wire.answers import validate_document
from reconciler.api.wire.base import document
from reconciler.cli import exits, screen
from reconciler.cli.options import command, formats
from reconciler.cli.session import Session
from reconciler.cli.validation import Checked, check_paths, check_repository
from reconciler.model.diagnostic import Diagnostic


@command("validate")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@formats("text", "json")
def validate_command(session: Session, paths: tuple[str, ...], output: str) -> int:
    """Check manifests and weaver.yaml: everything wrong is told at once. Exit 2 on errors.

    A PATH is a file, a directory of manifests, or a repository.
    """
    root = Path(session.home())
    checked = check_paths(root, [Path(path) for path in paths]) if paths else check_repository(root)
    if output == "json":
        found = validate_document(checked.files, checked.services, checked.diagnostics)
        screen.out_bytes(document(found))
        return found.exit_code
    for fault in checked.diagnostics:
        screen.out(_shown(fault, session))
    errors = [fault for fault in checked.diagnostics if not fault.is_warning]
    if not session.quiet:
        screen.out(_last_line(checked, errors))
    return exits.USAGE if errors else exits.OK


def _shown(fault: Diagnostic, session: Session) -> str:
    """Say one fault: its place first, so that editors and people can jump there."""
    kind = "warning: " if fault.is_warning else ""
    code = screen.paint(
        fault.code, screen.YELLOW if fault.is_warning else screen.RED, session.colour
    )
    place = f"{plain(str(fault.source))}: "
    first, *rest = screen.folded(f"{place}{fault.code} {kind}{plain(fault.message)}")
    lines = [first.replace(f"{place}{fault.code}", f"{place}{code}", 1), *rest]
    if fault.mend:
        lines += screen.folded(f"    mend: {plain(fault.mend)}")
    return "\n".join(lines)


def _last_line(checked: Checked, errors: list[Diagnostic]) -> str:
    """Say how it ended, in one line."""
    what = f"{count(len(checked.services), 'service')} in {count(len(checked.files), 'file')}"
    if errors:
        wrong = len({fault.source.file for fault in errors})
        return f"{count(len(errors), 'error')} in {count(wrong, 'file')}; {what} checked"
    if not checked.files:
        return "no manifests to check"
    return f"valid: {what}"
