"""Read and write the values of `limits`: numbers, amounts of bytes, seconds of processor time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.manifest import durations, sizes
from reconciler.manifest.durations import DurationError
from reconciler.manifest.sizes import SizeError
from reconciler.model.spec import Limit
from reconciler.model.units import SECOND, Nanos

COUNTS = frozenset({"nofile", "nproc", "rtprio", "sigpending"})
TIMES = frozenset({"cpu"})
UNLIMITED = "unlimited"
_ENDLESS = -1
"""How the kernel's interface spells `unlimited`."""


class LimitError(ValueError):
    """A limit that cannot be used; `mend` is what to write instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


def read(name: str, value: str | int) -> int:
    """Give what setrlimit gets for the value of a limit.

    >>> read("nofile", 1024), read("memlock", "64M"), read("cpu", "1m"), read("core", "unlimited")
    (1024, 67108864, 60, -1)
    """
    if value == UNLIMITED:
        return _ENDLESS
    try:
        amount = _amount(name, value)
    except (DurationError, SizeError) as why:
        raise LimitError(str(why), f"{why.mend}; or `{UNLIMITED}`") from why
    if amount > sizes.LARGEST:
        raise LimitError(f"`{value}` is more than any host has", f"write `{UNLIMITED}`")
    return amount


def write(name: str, amount: int) -> str:
    """Spell a limit as a manifest does.

    >>> write("nofile", 1024), write("memlock", 64 << 20), write("cpu", 60), write("core", -1)
    ('1024', '64M', '60s', 'unlimited')
    """
    if amount == _ENDLESS:
        return UNLIMITED
    if name in TIMES:
        return durations.write(Nanos(amount * SECOND))
    is_round = name not in COUNTS and amount and amount % sizes.UNITS["K"] == 0
    return sizes.write(amount) if is_round else str(amount)


def limit(name: str, value: str | int | Mapping[str, str | int]) -> Limit:
    """Give the limit that a manifest's value means; one value is soft and hard."""
    if isinstance(value, Mapping):
        return Limit(**{key: read(name, value[key]) for key in ("soft", "hard") if key in value})
    amount = read(name, value)
    return Limit(soft=amount, hard=amount)


def check(name: str, value: Any) -> None:
    """Raise LimitError where soft and hard, each fit to be one, make no limit."""
    if not isinstance(value, Mapping):
        return
    if not value:
        raise LimitError(
            "neither `soft` nor `hard` is given", f"write `{name}: 1024`, or one of them"
        )
    found = limit(name, value)
    if found.soft is not None and found.hard is not None and not _at_most(found.soft, found.hard):
        raise LimitError("`soft` is above `hard`", "a process cannot have more than `hard`")


def described(name: str, found: Limit) -> dict[str, str]:
    """Give a limit's values by their paths in a manifest."""
    if found.soft is not None and found.soft == found.hard:
        return {f"limits.{name}": write(name, found.soft)}
    both = {"soft": found.soft, "hard": found.hard}
    return {f"limits.{name}.{key}": write(name, x) for key, x in both.items() if x is not None}


def _amount(name: str, value: str | int) -> int:
    if name in TIMES:
        # The kernel counts whole seconds, and takes 0 for 1.
        return max(1, -(-durations.read(value) // SECOND))
    if isinstance(value, int):
        if value < 0:
            raise LimitError(f"`{value}` is negative", f"write `{UNLIMITED}` for no limit")
        return value
    if name in COUNTS:
        mend = f"write `{value}`, without quotes" if value.isdigit() else "for example 1024"
        raise LimitError(f"`{value}` is no number", mend)
    return sizes.read(value)


def _at_most(amount: int, most: int) -> bool:
    return most == _ENDLESS or (amount != _ENDLESS and amount <= most)
