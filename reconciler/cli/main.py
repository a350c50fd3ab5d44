"""Run the full command line, and turn whatever happens into words and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from reconciler import __version__
from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.cli.root import root_command
from reconciler.cli.screen import complain, err
from reconciler.cli.session import Session


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code; raises nothing."""
    session = Session()
    try:
        code = _dispatch(arguments, session)
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    except (KeyboardInterrupt, click.Abort):
        err("cancelled")
        return exits.CANCELLED
    except click.exceptions.NoArgsIsHelpError as asked:
        err(asked.format_message())
        return exits.USAGE
    except click.ClickException as error:
        failure = _usage(error)
    except CommandError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - exit code 1 means "changes" for diff, so a bug must not give it
        failure = _foreseen(error) or _crash(error)
    else:
        return code
    complain(failure, colour=session.colour_errors)
    return failure.code


def _dispatch(arguments: Sequence[str], session: Session) -> int:
    """Let click find and call the command; a command returns its exit code, or None."""
    try:
        found = root_command().main(
            list(arguments) or ["--help"], prog_name="weaver", standalone_mode=False, obj=session
        )
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    return found if isinstance(found, int) else exits.OK


def _reader_left() -> int:
    """End quietly when whoever read our output had enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exits.OK


def _usage(error: click.ClickException) -> CommandError:
    """Say a usage error the way all errors are said."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "weaver"
    mend = f"{path} --help"
    text = error.format_message()
    if isinstance(error, (click.NoSuchCommand, click.NoSuchOption)):
        kind, name = (
            ("command", error.command_name)
            if isinstance(error, click.NoSuchCommand)
            else ("option", error.option_name)
        )
        text = f"no such {kind}: {name}"
        if error.possibilities:
            meant = " or ".join(f"`{name}`" for name in error.possibilities)
            mend = f"did you mean {meant}? ({path} --help)"
    return CommandError(text[:1].lower() + text[1:].rstrip("."), mend=mend, code=exits.USAGE)


def _foreseen(error: Exception) -> CommandError | None:
    """Give the words that a layer below has for a person; None: nobody foresaw this."""
    from reconciler.ports import WeaverError

    if isinstance(error, WeaverError):
        return CommandError(str(error), mend=error.mend, code=error.exit_code)
    return None


def _crash(error: Exception) -> CommandError:
    """Write a report file about a bug; no argument is in it, for one may be a secret."""
    import traceback
    from tempfile import mkstemp

    handle, path = mkstemp(prefix="weaver-crash-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as report:
        report.write(f"weaver {__version__}, Python {sys.version}\n\n")
        report.writelines(traceback.format_exception(error))
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    return CommandError(
        f"internal error, a bug in weaver: {said} (details: {path})", code=exits.INTERNAL
    )
