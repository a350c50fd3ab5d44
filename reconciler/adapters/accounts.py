"""Look users and groups up in what this host knows of them, which may be a server elsewhere."""

from __future__ import annotations

import grp
import os
import pwd

from reconciler.core.launch import Account
from reconciler.model.spec import ServiceSpec
from reconciler.ports import HostError


def account_of(spec: ServiceSpec) -> Account | None:
    """Give the account that a service runs as; None where that is the daemon's own as it stands.

    Raises HostError for one that the host does not know, or that we have no right to.
    """
    if not spec.has_account:
        return None
    user = _user(spec.user, spec.name)
    found = _account(spec, user)
    own = (os.geteuid(), os.getegid(), {*os.getgroups(), os.getegid()})
    if own[0] == 0:
        return found
    if own[0] == found.uid and found.gid == own[1] and set(_added(spec)) <= own[2]:
        return None
    who = spec.user or spec.group or spec.supplementary_groups[0]
    raise HostError(
        f"cannot run {spec.name} as {who}: the daemon runs as {own_name()}, and only root's "
        "may run services as others",
        mend="start the daemon as root (sudo weaver up), or remove user and group",
    )


def own_variables() -> dict[str, str]:
    """Give HOME USER LOGNAME of the daemon's own user; nothing where the host does not know it."""
    try:
        return _variables(pwd.getpwuid(os.geteuid()))
    except KeyError:
        return {}


def own_name() -> str:
    """Name the daemon's own user."""
    return own_variables().get("USER") or f"uid {os.geteuid()}"


def _account(spec: ServiceSpec, user: pwd.struct_passwd | int) -> Account:
    if isinstance(user, int):
        if not spec.group:
            raise HostError(
                f"cannot run {spec.name} as {user}: this host knows no user of that number",
                mend="give its `group` too, or create the user",
            )
        gid = _group(spec.group, spec.name)
        name = str(user)
        variables = {"HOME": "/", "USER": name, "LOGNAME": name}
        return Account(uid=user, gid=gid, groups=_sorted(gid, *_added(spec)), variables=variables)
    gid = _group(spec.group, spec.name) if spec.group else user.pw_gid
    groups = _sorted(*os.getgrouplist(user.pw_name, gid), *_added(spec))
    return Account(uid=user.pw_uid, gid=gid, groups=groups, variables=_variables(user))


def _sorted(*groups: int) -> tuple[int, ...]:
    return tuple(sorted(set(groups)))


def _added(spec: ServiceSpec) -> list[int]:
    return [_group(name, spec.name) for name in spec.supplementary_groups]


def _user(wanted: str, service: str) -> pwd.struct_passwd | int:
    """Give a user; its number where the host has no more of it."""
    number = int(wanted) if wanted.isdecimal() else None if wanted else os.geteuid()
    try:
        return pwd.getpwnam(wanted) if number is None else pwd.getpwuid(number)
    except (KeyError, OverflowError) as why:
        if number is not None and isinstance(why, KeyError):
            return number
        raise HostError(
            f"cannot run {service} as {wanted}: this host knows no such user",
            mend=f"create it (useradd --system {wanted}), or: weaver set {service} user=...",
        ) from why


def _group(wanted: str, service: str) -> int:
    if wanted.isdecimal():
        return int(wanted)
    try:
        return grp.getgrnam(wanted).gr_gid
    except KeyError as why:
        raise HostError(
            f"cannot run {service} in group {wanted}: this host knows no such group",
            mend=f"create it (groupadd --system {wanted}), or change the manifest",
        ) from why


def _variables(user: pwd.struct_passwd) -> dict[str, str]:
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
