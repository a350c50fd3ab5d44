"""Execute a program as a service: in its own session, with clean signals and nothing inherited.

There are two ways. The fast one shares our memory until exec: posix_spawn, or vfork.py for a start
into a cgroup. A start with an `identity` (see identity.py), or into a cgroup where vfork.py cannot
do it, goes by fork (see fork.py), in this order: join the cgroup, begin a session, reset the
signals, raise limits, nice, umask, become the user, set noNewPrivileges, open what only the user
may open, place the streams, enter the folder, lower limits, execute.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import resource
import signal

from reconciler.failpoints import failpoint
from reconciler.holder import fork, streams, vfork
from reconciler.holder.cgroup import Within
from reconciler.holder.identity import Identity

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.holder.identity import Step
    from reconciler.holder.wire import Message

# Python ignores SIGPIPE and SIGXFSZ, the holder some more: an ignored signal would stay so.
RESET_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
OOM_SCORE = -900


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of the holder
    """A request that cannot be met: at which step, with which errno, in words."""

    def __init__(self, step: str, number: int, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.number = number
        self.text = text


class Standing:
    """What the holder claims for itself and a service must not inherit."""

    def __init__(self) -> None:
        self.files = resource.getrlimit(resource.RLIMIT_NOFILE)
        """What a service gets, which asks for nothing else."""
        self._oom_fd, self._oom = _open_oom_score()
        self.claim()

    def claim(self) -> None:
        """Claim all descriptors that the host allows, and to be killed last for memory."""
        _, most = self.files
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._score(min(self._oom, OOM_SCORE))

    def waive(self) -> None:
        """Go back to what a service shall have."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self.files)
        self._score(max(self._oom, 0))

    def steps(self) -> Iterator[Step]:
        """Yield what a child does to go back; its descriptors are an affair of its identity."""
        if self._oom_fd >= 0:
            yield "oom", "reset oom_score_adj", functools.partial(_set_score, max(self._oom, 0))

    def _score(self, score: int) -> None:
        if self._oom_fd < 0:
            return
        try:
            os.pwrite(self._oom_fd, b"%d" % score, 0)
        except PermissionError:
            os.close(self._oom_fd)
            self._oom_fd = -1


def spawn(order: Message, standing: Standing, within: Within | None = None) -> int:
    """Execute a program and give its pid; Refused tells at which step that failed, and why.

    With an identity of its own, or a need to know its pid, the program is executed by fork; else
    by vfork, which is faster, and as fast however much memory we have.
    """
    start = _Start(order)
    within = within or Within({})
    try:
        if not (order.get("identity") or order.get("own_pid")):
            with contextlib.suppress(vfork.Unable):
                return start.by_vfork(standing, within)
        return start.by_fork(standing, within)
    except fork.ChildError as failed:
        raise _refusal(failed.step, failed.thing, failed.error) from failed
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise _refusal(start.step, start.thing, error) from error
    finally:
        start.close()


class _Start:
    """One start under way: what it does just now, and what it has opened."""

    def __init__(self, order: Message) -> None:
        self.step, self.thing = "request", "read the order"
        self._argv: list[str] = order["argv"]
        self._env: dict[str, str] = order["env"]
        self._cwd: str = order["cwd"]
        self._root: str = order.get("root", "/")
        self._input: str = order.get("stdin") or os.devnull
        self._outputs: list[str] = [order["stdout"], order["stderr"] or order["stdout"]]
        self._passed: list[int] = order.get("pass", [])
        """Descriptors that the program gets from 3 on."""
        self._own_pid: list[str] = order.get("own_pid", [])
        """Variables that shall hold the program's own pid."""
        self._identity = order.get("identity") or {}
        self._open: dict[tuple[str, str], int] = {}
        """What was opened: `stdin` or `log`, and its path."""

    def close(self) -> None:
        """Let go of what was opened, and of the service's folder."""
        os.chdir("/")
        for fd in self._open.values():
            os.close(fd)

    def by_vfork(self, standing: Standing, within: Within) -> int:
        """Execute as ourselves; what exec says comes back as such."""
        for path in self._outputs:
            self._have("log", path, streams.open_log)
        self._have("stdin", self._input, streams.open_input)
        self._at("cwd", f"enter {self._cwd}")
        os.chdir(self._cwd)
        self._at("exec", f"run {self._name()}")
        program = _locate(self._argv[0], self._search())
        outputs = self._streams()
        actions = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate(outputs)]
        failpoint("holder.spawn.before")
        standing.waive()
        try:
            if within.is_somewhere:
                joins = within.open_joins()
                return vfork.execute(program, self._argv, self._env, outputs, within.fd, joins)
            return os.posix_spawn(
                program,
                self._argv,
                self._env,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=RESET_SIGNALS,
            )
        finally:
            standing.claim()

    def by_fork(self, standing: Standing, within: Within) -> int:
        """Execute with an identity and in a cgroup of its own.

        A log file that somebody else may have put there is opened with the user's rights, as is
        the input: with ours, a link would lead to what the user may not touch.
        """
        self._at("identity", "read who it shall be")
        identity = Identity(self._identity, standing.files)
        for path in self._outputs:
            if identity.uid is None or identity.gid is None:
                self._have("log", path, streams.open_log)
            elif streams.is_ours_alone(path, self._root):
                give = functools.partial(streams.open_log_for, uid=identity.uid, gid=identity.gid)
                self._have("log", path, give)
        self._at("exec", f"run {self._name()}")
        joins = map(fork.joining, within.joins)
        steps = [*joins, *standing.steps(), *self._steps(identity)]
        self._at("fork", f"run {self._name()}")
        try:
            failpoint("holder.fork.before")
            return fork.execute(steps, within.fd)
        except OSError as error:
            why = f"no room for a process: {_lower(str(error.strerror))}"
            raise OSError(error.errno, why) from error

    def _steps(self, identity: Identity) -> Iterator[Step]:
        """Yield what the child does, the last of which is to become the program."""
        yield "session", "begin a session", os.setsid
        yield "signals", "reset the signals", fork.reset_signals
        yield from identity.steps()
        for path in self._outputs:
            have = functools.partial(self._have, "log", path, streams.open_log)
            yield "log", f"open {path}", have
        have = functools.partial(self._have, "stdin", self._input, streams.open_input)
        yield "stdin", f"open {self._input}", have
        yield "streams", "have its streams", self._place
        yield "cwd", f"enter {self._cwd}", functools.partial(os.chdir, self._cwd)
        yield from identity.last_steps()
        programs = _candidates(self._argv[0], self._search())
        become = functools.partial(self._become, programs)
        yield "exec", f"run {self._name()}", become

    def _place(self) -> None:
        fork.place_streams(self._streams() + self._passed)

    def _become(self, programs: list[str]) -> None:
        own = dict.fromkeys(self._own_pid, str(os.getpid()))
        fork.exec_first(programs, self._argv, own | self._env)

    def _at(self, step: str, thing: str) -> None:
        self.step, self.thing = step, thing

    def _have(self, step: str, path: str, opener: Callable[[str], int]) -> None:
        """Open a path unless it is open."""
        if (step, path) not in self._open:
            self._at(step, f"open {path}")
            self._open[step, path] = opener(path)

    def _streams(self) -> list[int]:
        outputs = [self._open["log", path] for path in self._outputs]
        return [self._open["stdin", self._input], *outputs]

    def _search(self) -> str:
        return self._env.get("PATH", os.defpath)

    def _name(self) -> str:
        return self._argv[0] if self._argv else "an empty command"


def _candidates(name: str, search: str) -> list[str]:
    """Give the paths at which a command may be, in the order of a PATH."""
    if "/" in name:
        return [name]
    return [os.path.join(folder or ".", name) for folder in search.split(":") if name]


def _locate(name: str, search: str) -> str:
    """Find a command on the service's own PATH, as a shell in its directory would."""
    if "/" in name:
        return name
    found = errno.ENOENT
    for folder in search.split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            found = errno.EACCES
    why = fork.NOT_FOUND if found == errno.ENOENT else os.strerror(found)
    raise OSError(found, why)


def _refusal(step: str, thing: str, error: Exception) -> Refused:
    if not isinstance(error, OSError):
        return Refused(step, errno.EINVAL, f"cannot {thing}: {error}")
    number = error.errno or errno.EIO
    why = error.strerror or str(error)
    if step == "exec" and number in (errno.EAGAIN, errno.ENOMEM):
        return Refused("fork", number, f"cannot {thing}: no room for a process: {_lower(why)}")
    if step == "exec" and error.filename:
        why = fork.known_cause(error) or why
    return Refused(step, number, f"cannot {thing}: {_lower(why)}")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _set_score(score: int) -> None:
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, b"%d" % score)
    os.close(fd)


def _open_oom_score() -> tuple[int, int]:
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return -1, 0
    return fd, int(os.pread(fd, 16, 0))
