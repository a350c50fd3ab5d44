"""Read and write amounts of bytes as manifests spell them: `64K 512M 2G 1T`, 1024-based."""

from __future__ import annotations

import re
from decimal import Decimal

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
LARGEST = 1 << 60

_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([KMGT])")
_LOOSE = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*([kmgt])?(?:i?b|ytes)?\s*", re.IGNORECASE)


class SizeError(ValueError):
    """An amount that cannot be used; `mend` is what to write instead."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message)
        self.mend = mend


def read(value: str | int) -> int:
    """Give the bytes that a manifest's value means.

    >>> read("64K"), read("1.5M")
    (65536, 1572864)
    """
    found = _SIZE.fullmatch(str(value))
    if found is None:
        raise SizeError(f"`{value}` is no size", _mend(str(value)))
    size = int(Decimal(found[1]) * UNITS[found[2]])
    if size > LARGEST:
        raise SizeError(f"`{value}` is more than any host has", "1048576T is the largest size")
    return size


def write(size: int) -> str:
    """Spell a size in the largest unit that needs no fraction, or as near as three digits get.

    >>> write(65536), write(1536 << 20), write(2 << 30)
    ('64K', '1536M', '2G')
    """
    for unit, one in reversed(UNITS.items()):
        if size >= one and size % one == 0:
            return f"{size // one}{unit}"
    return f"{Decimal(size) / UNITS['K']:.3f}K"


def _mend(text: str) -> str:
    """Guess what was meant by `512m`, `2 GB`, `64KiB` or a number alone.

    >>> _mend("2 GiB"), _mend("1000000")
    ('write `2G`', 'write `977K`; a size has a unit')
    """
    usual = 'write a number and a unit of 1024s: "64K", "512M", "2G"'
    found = _LOOSE.fullmatch(text)
    if found is None:
        return usual
    number, unit = found.groups()
    if unit:
        return f"write `{number}{unit.upper()}`"
    kilos = -(-int(Decimal(number)) // UNITS["K"])
    return f"write `{kilos}K`; a size has a unit" if kilos > 1 else f"write `{number}M`, or {usual}"
