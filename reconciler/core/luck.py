"""Luck as a function of its arguments, so that one seed replays everything."""

from __future__ import annotations

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK = (1 << 64) - 1


def fingerprint(text: str, seed: int = 0) -> int:
    """Hash a text to 64 bits (FNV-1a, then splitmix64), the same in every process.

    >>> fingerprint("web") == fingerprint("web"), fingerprint("web") == fingerprint("wed")
    (True, False)
    """
    value = _FNV_OFFSET ^ (seed & _MASK)
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & _MASK
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def fraction(text: str, seed: int) -> float:
    """Give a number in [0, 1) that looks random and is not.

    >>> 0 <= fraction("web-0:1", 7) < 1
    True
    """
    return fingerprint(text, seed) / (1 << 64)
