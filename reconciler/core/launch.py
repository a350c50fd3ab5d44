"""Say exactly what is executed for one slot: words, environment, folder, streams, identity."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from reconciler.model.event import Errand
from reconciler.model.observed import Slot
from reconciler.model.spec import DEFAULT_UMASK, Limit, ServiceSpec
from reconciler.model.units import RunId

_PLACEHOLDER = re.compile(r"\$(?:\$|\{(instance|name|port)\})")
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user and its groups, as this host knows them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    """HOME USER LOGNAME."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a process is and what it may use, beyond what the daemon hands down."""

    account: Account | None = None
    """None: the daemon's own."""
    umask: int = DEFAULT_UMASK
    nice: int | None = None
    limits: Mapping[str, Limit] = field(default_factory=dict)
    no_new_privileges: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a start takes from the host: folders, and the few variables services may see."""

    root: str
    """The repository's folder, absolute."""
    log_dir: str
    """Where logs go that name no file of their own; absolute."""
    base_env: Mapping[str, str] = field(default_factory=dict)
    """PATH LANG TZ TMPDIR of the daemon, HOME USER LOGNAME of the user."""
    file_env: Mapping[str, str] = field(default_factory=dict)
    """The variables of the service's env files, later files winning."""
    account: Account | None = None
    """The service's user where that is not the daemon's own."""
    owners: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The user and the group of each `owner` of a socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """A socket that must be listened on before a start, and that the process gets."""

    address: str
    name: str
    backlog: int
    mode: int
    owner: tuple[int, int] | None = None
    """The user and the group that its file belongs to; None: those of the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One start, with nothing left to resolve."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    root: str
    """The repository's folder, whose owner is trusted with what is executed."""
    log_file: str
    error_file: str = ""
    """Empty: the same."""
    stdin: str = ""
    """Empty: nothing."""
    identity: Identity = field(default_factory=Identity)
    sockets: tuple[Listening, ...] = ()


def launch(
    spec: ServiceSpec,
    slot: Slot,
    run: RunId,
    surroundings: Surroundings,
    errand: Errand | None = None,
) -> Launch:
    """Resolve a spec for one slot and one run.

    Relative paths are the repository's: `cwd`, a command with a slash, `logFile`. The service's
    own `env` wins over everything but WEAVER_RUN, the mark that its processes are found by.
    An errand runs in the same surroundings, with its own command and some more variables.
    """
    root, fill = surroundings.root, partial(expand, slot=slot, port=spec.port)
    said = (*spec.interpreter, *spec.command, *spec.args)
    is_shell, more = spec.shell, {}
    if errand is not None:
        said, is_shell = (*errand.hook.command, *errand.hook.args), errand.hook.shell
        more = {name: fill(value) for name, value in errand.hook.env.items()}
        more |= {"WEAVER_HOOK": errand.role.value, **errand.env}
    words = [fill(word) for word in said]
    own = {name: fill(value) for name, value in spec.env.items()}
    account = surroundings.account
    return Launch(
        argv=_argv(words, slot, root, is_shell=is_shell),
        env={
            **surroundings.base_env,
            **(account.variables if account is not None else {}),
            "PYTHONUNBUFFERED": "1",
            "WEAVER_SERVICE": slot.service,
            "WEAVER_INSTANCE": str(slot.index),
            **({"LOG_LEVEL": spec.log_level} if spec.log_level else {}),
            **({"PORT": str(spec.port)} if spec.port else {}),
            **surroundings.file_env,
            **own,
            **more,
            "WEAVER_RUN": run,
        },
        cwd=beneath(root, fill(spec.cwd)),
        root=root,
        log_file=log_file(spec, slot, surroundings),
        error_file=error_file(spec, slot, surroundings),
        stdin=beneath(root, fill(spec.stdin)) if spec.stdin and errand is None else "",
        identity=Identity(
            account=account,
            umask=spec.umask,
            nice=spec.nice,
            limits=spec.limits,
            no_new_privileges=spec.no_new_privileges,
        ),
        sockets=() if errand is not None else tuple(_listening(spec, surroundings)),
    )


def _listening(spec: ServiceSpec, surroundings: Surroundings) -> Iterator[Listening]:
    account = surroundings.account
    own = None if account is None else (account.uid, account.gid)
    for one in spec.sockets:
        yield Listening(
            address=one.listen,
            name=one.name or spec.name,
            backlog=one.backlog,
            mode=one.mode,
            owner=surroundings.owners[one.owner] if one.owner else own,
        )


def log_file(spec: ServiceSpec | None, slot: Slot, surroundings: Surroundings) -> str:
    """Give the file that a slot's output is appended to."""
    if spec is not None and spec.log_file:
        return beneath(surroundings.root, expand(spec.log_file, slot, spec.port))
    return f"{surroundings.log_dir}/{slot.service}/{slot.index}.log"


def error_file(spec: ServiceSpec | None, slot: Slot, surroundings: Surroundings) -> str:
    """Give the file that a slot's standard error has to itself; empty where it has none."""
    if spec is None or not spec.error_file:
        return ""
    path = beneath(surroundings.root, expand(spec.error_file, slot, spec.port))
    return "" if path == log_file(spec, slot, surroundings) else path


def _argv(words: list[str], slot: Slot, root: str, *, is_shell: bool) -> tuple[str, ...]:
    if is_shell:
        # sh -c TEXT NAME ARG...: what follows the text is $0, $1 ...
        text, *rest = words
        return (_SHELL, "-c", text, slot.service, *rest)
    program, *rest = words
    return (beneath(root, program) if "/" in program else program, *rest)


def expand(text: str, slot: Slot, port: int | None = None) -> str:
    """Fill a text in: `${instance}`, `${name}`, `${port}`; `$$` is a literal dollar.

    >>> expand("${name}-${instance}.sock costs $$1", Slot(service="web", index=2))
    'web-2.sock costs $1'
    """
    values = {"instance": str(slot.index), "name": slot.service, None: "$"}
    values["port"] = str(port) if port else "${port}"
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def beneath(root: str, path: str) -> str:
    """Give a path as it is if absolute, else beneath the repository's folder.

    >>> beneath("/srv/app", "run/web.sh"), beneath("/srv/app", "."), beneath("/srv/app", "/bin/ls")
    ('/srv/app/run/web.sh', '/srv/app', '/bin/ls')
    """
    if path.startswith("/"):
        return path
    while path.startswith("./"):
        path = path[2:]
    return root if path in ("", ".") else f"{root}/{path}"
