"""`weaver doctor` and `weaver report`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.api.answers_text import doctor_text
from reconciler.api.page import Page
from reconciler.api.wire.answers import doctor_document, doctor_exit_code
from reconciler.api.wire.base import document
from reconciler.cli import exits, fast, place, screen
from reconciler.cli.bundle import pieces, redact, write_bundle
from reconciler.cli.errors import CommandError
from reconciler.cli.findings import local_findings
from reconciler.cli.options import command, formats
from reconciler.cli.session import Session
from reconciler.runtime import socket_file
from reconciler.runtime.checkup import LIBRARY
from reconciler.runtime.control import Finding, Grade


@command("doctor")
@formats("text", "json")
def doctor_command(session: Session, output: str) -> int:
    """Look for what is wrong with this set-up, and say how to mend it.

    Exit 1 when something is a problem; warnings alone give 0.
    """
    found = examine(session)
    if output == "json":
        screen.out_bytes(document(doctor_document(found)))
    else:
        page = Page(width=fast.width(), colour=session.colour)
        shown = found if session.verbose else [one for one in found if not is_minor(one)]
        screen.out_bytes(doctor_text(shown, page).encode())
    return doctor_exit_code(found)


def is_minor(finding: Finding) -> bool:
    """Tell whether a finding is for those only who ask for more with -v."""
    return finding.grade is Grade.OK and finding.check == LIBRARY


def examine(session: Session) -> list[Finding]:
    """Give all findings: those made here, then those of the daemon."""
    root = Path(session.home())
    state = Path(socket_file.state_directory(str(root), place.state_dir(session.state_dir)))
    return [*local_findings(root, state), *_daemon_findings(session)]


def _daemon_findings(session: Session) -> list[Finding]:
    """Give what the daemon finds, or that there is none."""
    try:
        daemon = session.daemon()
        said = daemon.ask("/v1/doctor", {"format": "json"}).json()
        about = daemon.ask("/v1/status", {"format": "json"}).json()["daemon"]
    except CommandError as failure:
        grade = Grade.WARNING if failure.code == exits.NO_DAEMON else Grade.PROBLEM
        return [Finding(check="daemon", grade=grade, text=failure.message, mend=failure.mend)]
    text = f"weaver {about['version']} runs, pid {about['pid']}"
    return [
        Finding(check="daemon", grade=Grade.OK, text=text),
        *(
            Finding(check=f["check"], grade=Grade(f["grade"]), text=f["text"], mend=f["mend"])
            for f in said["findings"]
        ),
    ]


@command("report")
@click.option(
    "-f",
    "--file",
    default="weaver-report.tar.gz",
    show_default=True,
    metavar="FILE",
    help="Where to write it.",
)
def report_command(session: Session, file: str) -> None:
    """Bundle what a bug report needs: versions, findings, status, events, logs, manifests.

    Values of env, and what looks like a password or a token, are replaced by ***.
    """
    found = {"doctor.txt": doctor_text(examine(session), Page())}
    found |= pieces(session)
    clean = {name: redact(text) for name, text in found.items()}
    write_bundle(Path(file), clean)
    screen.out(f"wrote {file}:")
    for name, text in clean.items():
        screen.out(f"  {name:<28} {len(text.encode()):>8} bytes")
    screen.out("Read it before you send it: only what looks like a secret is replaced.")
