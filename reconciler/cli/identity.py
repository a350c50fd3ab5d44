"""Take on who a service is and what it may use, to run a command as it would."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Mapping
from typing import Any

from reconciler.cli import exits
from reconciler.cli.errors import CommandError

PR_SET_NO_NEW_PRIVS = 38


def take_on(identity: Mapping[str, Any], service: str) -> None:
    """Become a service's user, with its groups, umask, nice and limits; there is no way back.

    Raises CommandError where that is not ours to do.
    """
    for name, limit in identity["limits"].items():
        _limit(name, limit, service)
    if identity["nice"] is not None:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, identity["nice"])
        except PermissionError as error:
            raise _refused(f"with nice {identity['nice']}", service) from error
    os.umask(int(identity["umask"], 8))
    _become(identity, service)
    if identity["noNewPrivileges"]:
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _become(identity: Mapping[str, Any], service: str) -> None:
    uid, gid, groups = identity["uid"], identity["gid"], identity["groups"]
    if os.geteuid() != 0 and (os.geteuid(), os.getegid()) == (uid, gid):
        return
    try:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError as error:
        raise _refused(f"as uid {uid} and gid {gid}", service) from error


def _limit(name: str, limit: Mapping[str, int | None], service: str) -> None:
    kind = getattr(resource, f"RLIMIT_{name.upper()}")
    soft, hard = resource.getrlimit(kind)
    most = hard if limit["hard"] is None else limit["hard"]
    wanted = min(soft, most, key=_height) if limit["soft"] is None else limit["soft"]
    try:
        resource.setrlimit(kind, (wanted, most))
    except (ValueError, OSError) as error:
        raise _refused(f"with limits.{name} at {wanted}, {most} at most", service) from error


def _height(amount: int) -> float:
    return float("inf") if amount == resource.RLIM_INFINITY else amount


def _refused(how: str, service: str) -> CommandError:
    return CommandError(
        f"cannot run {how}, as {service} does: only root may",
        mend="sudo weaver run ...",
        code=exits.FORBIDDEN,
    )
