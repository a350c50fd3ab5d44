"""Execute a program as a service: in its own session, with clean signals and nothing inherited."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
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
        self._files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limits = ((self._files, most), (most, most))
        self._oom_fd, self._oom = _open_oom_score()
        self.claim()

    def claim(self) -> None:
        """Claim all descriptors that the host allows, and to be killed last for memory."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits[1])
        self._score(min(self._oom, OOM_SCORE))

    def waive(self) -> None:
        """Go back to what a service shall have."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits[0])
        self._score(max(self._oom, 0))

    def _score(self, score: int) -> None:
        if self._oom_fd < 0:
            return
        try:
            os.pwrite(self._oom_fd, b"%d" % score, 0)
        except PermissionError:
            os.close(self._oom_fd)
            self._oom_fd = -1


def spawn(order: Message, standing: Standing) -> int:
    """Execute a program and give its pid; Refused tells at which step that failed, and why."""
    argv, env, cwd = order["argv"], order["env"], order["cwd"]
    step, thing = "log", f"open {order['stdout']}"
    outputs: list[int] = []
    try:
        outputs.append(_open_log(order["stdout"]))
        if order["stderr"] not in (None, order["stdout"]):
            thing = f"open {order['stderr']}"
            outputs.append(_open_log(order["stderr"]))
        step, thing = "cwd", f"enter {cwd}"
        os.chdir(cwd)
        step, thing = "exec", f"run {argv[0] if argv else 'an empty command'}"
        program = _locate(argv[0], env.get("PATH", os.defpath))
        return _execute(program, argv, env, outputs, standing)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise _refusal(step, thing, error) from error
    finally:
        os.chdir("/")
        for fd in outputs:
            os.close(fd)


def _execute(
    program: str, argv: list[str], env: dict[str, str], outputs: list[int], standing: Standing
) -> int:
    """Execute by vfork, which takes the same short time however many services there are.

    It gives exec's own errno, and a program that ends with 127 stays just that.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, outputs[0], 1),
        (os.POSIX_SPAWN_DUP2, outputs[-1], 2),
    ]
    standing.waive()
    try:
        return os.posix_spawn(
            program,
            argv,
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=RESET_SIGNALS,
        )
    finally:
        standing.claim()


def _open_log(path: str) -> int:
    """Open a file to add to, and make its folder; whatever else is at its path is refused."""
    # A FIFO must not make the holder wait for a reader.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    flags |= os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o640)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o750, exist_ok=True)
        fd = os.open(path, flags, 0o640)
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file")
    os.set_blocking(fd, True)
    return fd


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
    why = f"not found on PATH={search}" if found == errno.ENOENT else os.strerror(found)
    raise OSError(found, why)


def _refusal(step: str, thing: str, error: Exception) -> Refused:
    if not isinstance(error, OSError):
        return Refused(step, errno.EINVAL, f"cannot {thing}: {error}")
    number = error.errno or errno.EIO
    why = error.strerror or str(error)
    if step == "exec" and number in (errno.EAGAIN, errno.ENOMEM):
        return Refused("fork", number, f"cannot {thing}: no room for a process: {_lower(why)}")
    if step == "exec" and error.filename:
        why = _known_cause(number, error.filename) or why
    return Refused(step, number, f"cannot {thing}: {_lower(why)}")


def _known_cause(number: int, program: str) -> str:
    """Say what the kernel means by a number that it has for several things."""
    if number == errno.ENOENT and os.path.exists(program):
        return "its interpreter or loader does not exist"
    if number == errno.EACCES and os.path.isdir(program):
        return "it is a directory"
    return ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _open_oom_score() -> tuple[int, int]:
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return -1, 0
    return fd, int(os.pread(fd, 16, 0))
