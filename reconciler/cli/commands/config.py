"""`weaver config`: weaver.yaml, shown, checked and changed."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.api.answers_text import settings_text
from reconciler.api.page import Page
from reconciler.api.wire.answers import config_document
from reconciler.api.wire.base import document
from reconciler.cli import exits, fast, screen
from reconciler.cli.errors import CommandError
from reconciler.cli.options import command, formats
from reconciler.cli.root import CONTEXT
from reconciler.cli.session import Session
from reconciler.cli.settings import with_setting
from reconciler.manifest.config import CONFIG_FILE, ConfigResult, effective
from reconciler.manifest.parse import parse
from reconciler.manifest.validate import check_config
from reconciler.runtime.control import Setting


@click.group("config", context_settings=CONTEXT)
def config_command() -> None:
    """Show, check or change weaver.yaml. No daemon is needed."""


@command("list")
@formats("text", "json")
def list_command(session: Session, output: str) -> None:
    """Show every setting with its value; defaults are marked."""
    settings = _settings(session)
    if output == "json":
        screen.out_bytes(document(config_document(settings)))
        return
    page = Page(width=fast.width(), colour=session.colour)
    screen.out_bytes(settings_text(settings, page).encode())


@command("get")
@click.argument("path")
def get_command(session: Session, path: str) -> None:
    """Print one value, such as `metrics.listen`."""
    settings = _settings(session)
    for setting in settings:
        if setting.path == path:
            screen.out(setting.value)
            return
    raise CommandError(
        f"no setting is named {path}", mend="weaver config list", code=exits.NOT_FOUND
    )


@command("set", epilog="\b\nExample:\n  weaver config set metrics.listen=127.0.0.1:9464")
@click.argument("assignments", nargs=-1, required=True, metavar="PATH=VALUE...")
def set_command(session: Session, assignments: tuple[str, ...]) -> int:
    """Change values of weaver.yaml, comments kept. It is checked, and not committed."""
    path = _path(session)
    before = path.read_bytes() if path.exists() else b""
    after = before
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not (key and equals):
            raise CommandError(
                f"`{assignment}` is no PATH=VALUE",
                mend="write metrics.listen=127.0.0.1:9464",
                code=exits.USAGE,
            )
        after = with_setting(after, key, value)
    if after == before:
        screen.out(f"{CONFIG_FILE} says so already; nothing changed")
        return exits.OK
    path.write_bytes(after)
    screen.out(f"wrote {CONFIG_FILE}; keep it with: git commit -m 'Change settings' {CONFIG_FILE}")
    return exits.OK


@command("validate")
def validate_command(session: Session) -> int:
    """Check weaver.yaml; exit 2 when something is wrong with it."""
    path = _path(session)
    found = _checked(path.read_bytes() if path.exists() else b"")
    for fault in found.diagnostics:
        screen.err(str(fault))
    if found.config is None:
        return exits.USAGE
    screen.out(f"{CONFIG_FILE} is valid" if path.exists() else f"no {CONFIG_FILE}: all defaults")
    return exits.OK


def _settings(session: Session) -> list[Setting]:
    """Give the effective settings; a CommandError where weaver.yaml is wrong."""
    path = _path(session)
    found = _checked(path.read_bytes() if path.exists() else b"")
    if found.config is None:
        raise _invalid(found)
    return [
        Setting(path=value.path, value=value.value, is_default=value.is_default)
        for value in effective(found.config)
    ]


def _checked(data: bytes) -> ConfigResult:
    """Check the bytes of weaver.yaml; none at all set nothing."""
    return check_config(parse(CONFIG_FILE, data))


def _invalid(found: ConfigResult) -> CommandError:
    """Say what is wrong with weaver.yaml."""
    return CommandError(
        f"{CONFIG_FILE} is not valid",
        details=[str(fault) for fault in found.diagnostics],
        code=exits.USAGE,
    )


def _path(session: Session) -> Path:
    """Give the place of weaver.yaml."""
    return Path(session.home()) / CONFIG_FILE


for _command in (list_command, get_command, set_command, validate_command):
    config_command.add_command(_command)
