"""Take on who a service is and what it may use: in the child, between fork and exec.

What a start asks for comes in its order as numbers, looked up by the daemon: asking the host's
directory of users may block, and loads whatever it is configured to load.

    "identity": {"uid": 33, "gid": 33, "groups": [33, 4], "umask": 63, "nice": 5,
                 "limits": {"nofile": [1024, -1]}, "noNewPrivileges": true}

Every key may be missing, and `uid`, `gid` and `groups` come together. A limit is soft and hard; -1
is unlimited and null leaves it as it is.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import resource

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.holder.wire import Message

    Step = tuple[str, str, Callable[[], object]]
    """A step's name, what it does as in "cannot ...", and the doing."""

PR_SET_NO_NEW_PRIVS = 38
UNLIMITED = resource.RLIM_INFINITY
_libc = ctypes.CDLL(None, use_errno=True)


class Identity:
    """What a start asks for beyond the holder's own."""

    def __init__(self, order: Message, files: tuple[int, int]) -> None:
        """`files` is the limit of descriptors that who asks for none gets: ours is another."""
        self.uid: int | None = order.get("uid")
        self.gid: int | None = order.get("gid")
        self.groups: list[int] = order.get("groups", [])
        self._umask: int | None = order.get("umask")
        self._nice: int | None = order.get("nice")
        asked = {"nofile": files} | order.get("limits", {})
        self._limits = [
            _Limit(name, *pair, files=files if name == "nofile" else None)
            for name, pair in asked.items()
        ]
        self._is_confined: bool = order.get("noNewPrivileges", False)

    def steps(self) -> Iterator[Step]:
        """Yield what needs our rights, then what gives them up."""
        for limit in self._limits:
            if limit.comes_first:
                yield limit.step()
        if self._nice is not None:
            nice = functools.partial(os.setpriority, os.PRIO_PROCESS, 0, self._nice)
            yield "nice", f"set nice to {self._nice}", nice
        if self._umask is not None:
            yield (
                "umask",
                f"set umask to {self._umask:03o}",
                functools.partial(os.umask, self._umask),
            )
        if self.uid is not None and self.gid is not None:
            yield "user", f"become {_whom(self.uid, self.gid)}", self._switch
        if self._is_confined:
            yield "noNewPrivileges", "set noNewPrivileges", _confine

    def last_steps(self) -> Iterator[Step]:
        """Yield what would hinder ourselves on the way to exec."""
        for limit in self._limits:
            if not limit.comes_first:
                yield limit.step()

    def _switch(self) -> None:
        uid, gid = self.uid or 0, self.gid or 0
        os.setgroups(self.groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        found = (os.getresuid(), os.getresgid(), sorted(os.getgroups()))
        if found != ((uid,) * 3, (gid,) * 3, sorted(set(self.groups))):
            raise OSError(errno.EPERM, f"the kernel made it {found}")


class _Limit:
    """One resource limit, as asked for."""

    def __init__(
        self, name: str, soft: int | None, hard: int | None, *, files: tuple[int, int] | None
    ) -> None:
        self._name = name
        self._kind: int = getattr(resource, f"RLIMIT_{name.upper()}")
        now_soft, now_hard = files or resource.getrlimit(self._kind)
        self._hard = now_hard if hard is None else hard
        kept = now_soft if _at_most(now_soft, self._hard) else self._hard
        self._soft = kept if soft is None else soft
        self._now_hard = now_hard
        # Processes are counted when the user changes. To raise a limit is a right of root's.
        self.comes_first = name == "nproc" or not _at_most(self._hard, now_hard)

    def step(self) -> Step:
        most = "" if _at_most(self._hard, self._now_hard) else f" (the most is {self._now_hard})"
        text = (
            f"set limits.{self._name} to {_shown(self._soft)}, at most {_shown(self._hard)}{most}"
        )
        return "limits", text, self._set

    def _set(self) -> None:
        try:
            resource.setrlimit(self._kind, (self._soft, self._hard))
        except ValueError as error:
            # So it tells EPERM and EINVAL.
            raise OSError(errno.EPERM, str(error)) from error


def _at_most(amount: int, most: int) -> bool:
    return most == UNLIMITED or (amount != UNLIMITED and amount <= most)


def _shown(amount: int) -> str:
    return "unlimited" if amount == UNLIMITED else str(amount)


def _whom(uid: int, gid: int) -> str:
    return f"uid {uid} and gid {gid}"


def _confine() -> None:
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refuses it")
