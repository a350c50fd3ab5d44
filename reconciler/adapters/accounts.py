"""Look users and groups up in what this host knows of them, which may be a server elsewhere."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from reconciler.core.launch import Account
from reconciler.model.event import Errand
from reconciler.model.spec import ServiceSpec
from reconciler.ports import HostError

NOBODY_HAS = 2**32 - 1
"""To the kernel this number means: leave it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Who shall be run as, in a manifest's words."""

    of: str
    """Whose account that is, for errors: `web`, `the preStart hook of web`."""
    user: str = ""
    group: str = ""
    more: tuple[str, ...] = ()
    """Groups besides the user's own."""


def wanted(spec: ServiceSpec, errand: Errand | None = None) -> Wanted:
    """Give who a service, or something that is run for it, shall run as."""
    if errand is not None and errand.hook.user:
        return Wanted(of=f"the {errand.role.in_words} of {spec.name}", user=errand.hook.user)
    return Wanted(of=spec.name, user=spec.user, group=spec.group, more=spec.supplementary_groups)


def owners_of(spec: ServiceSpec) -> dict[str, tuple[int, int]]:
    """Look up whose the files of a service's sockets are: `user`, or `user:group`.

    Raises HostError for one that the host does not know.
    """
    found = {}
    for owner in dict.fromkeys(one.owner for one in spec.sockets if one.owner):
        user, _, group = owner.partition(":")
        try:
            account = _account(Wanted(of=spec.name, user=user, group=group))
        except HostError as why:
            known = str(why).rpartition(": ")[2]
            text = f"cannot give a socket of {spec.name} to {owner}: {known}"
            raise HostError(text, mend=why.mend) from why
        found[owner] = (account.uid, account.gid)
    return found


def account_of(who: Wanted) -> Account | None:
    """Look an account up; None where it is the daemon's own as it stands.

    Raises HostError for one that the host does not know, or that we have no right to.
    """
    if not (who.user or who.group or who.more):
        return None
    found = _account(who)
    if os.geteuid() == 0:
        return found
    own = {os.getegid(), *os.getgroups()}
    if (os.geteuid(), os.getegid()) == (found.uid, found.gid) and set(_numbers(who)) <= own:
        return None
    raise HostError(
        f"cannot run {who.of} as {who.user or who.group or who.more[0]}: the daemon runs as "
        f"{own_name()}, and only root may run services as others",
        mend="start it as root (sudo weaver up), or take user and group out of the manifest",
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


def _account(who: Wanted) -> Account:
    user = _user(who)
    if isinstance(user, int):
        if not who.group:
            raise HostError(
                f"cannot run {who.of} as {user}: this host knows no user of that number",
                mend="give its `group` too, or create the user",
            )
        gid = _group(who.group, who)
        variables = dict.fromkeys(("USER", "LOGNAME"), str(user))
        groups = _sorted(gid, *_numbers(who))
        return Account(uid=user, gid=gid, groups=groups, variables={"HOME": "/", **variables})
    gid = _group(who.group, who) if who.group else user.pw_gid
    groups = _sorted(*os.getgrouplist(user.pw_name, gid), *_numbers(who))
    return Account(uid=user.pw_uid, gid=gid, groups=groups, variables=_variables(user))


def _sorted(*groups: int) -> tuple[int, ...]:
    return tuple(sorted(set(groups)))


def _numbers(who: Wanted) -> list[int]:
    return [_group(name, who) for name in who.more]


def _user(who: Wanted) -> pwd.struct_passwd | int:
    """Give a user; its number where that is all there is."""
    number = _number(who.user, who) if who.user else os.geteuid()
    try:
        return pwd.getpwnam(who.user) if number is None else pwd.getpwuid(number)
    except KeyError as why:
        if number is not None:
            return number
        raise HostError(
            f"cannot run {who.of} as {who.user}: this host knows no such user",
            mend=f"create it (useradd --system {who.user}), or name another",
        ) from why


def _group(wanted: str, who: Wanted) -> int:
    number = _number(wanted, who)
    if number is not None:
        return number
    try:
        return grp.getgrnam(wanted).gr_gid
    except KeyError as why:
        raise HostError(
            f"cannot run {who.of} in group {wanted}: this host knows no such group",
            mend=f"create it (groupadd --system {wanted}), or name another",
        ) from why


def _number(wanted: str, who: Wanted) -> int | None:
    """Read a number; None for a name."""
    if not (wanted.isascii() and wanted.isdecimal()):
        return None
    if int(wanted) >= NOBODY_HAS:
        raise HostError(f"cannot run {who.of} as {wanted}: that is no number of a user or group")
    return int(wanted)


def _variables(user: pwd.struct_passwd) -> dict[str, str]:
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
