"""Find out how grave a line is, whatever words or numbers its program uses for that."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reconciler.model.log import Level

HEAD = 120
"""How far into a plain line a level is looked for."""

_WORDS: Mapping[str, Level] = {
    "trace": Level.TRACE,
    "verbose": Level.TRACE,
    "silly": Level.TRACE,
    "finest": Level.TRACE,
    "trce": Level.TRACE,
    "dbug": Level.DEBUG,
    "debug": Level.DEBUG,
    "fine": Level.DEBUG,
    "finer": Level.DEBUG,
    "info": Level.INFO,
    "information": Level.INFO,
    "notice": Level.INFO,
    "success": Level.INFO,
    "default": Level.INFO,
    "log": Level.INFO,
    "warn": Level.WARN,
    "warning": Level.WARN,
    "error": Level.ERROR,
    "err": Level.ERROR,
    "fail": Level.ERROR,
    "severe": Level.ERROR,
    "crit": Level.FATAL,
    "critical": Level.FATAL,
    "alert": Level.FATAL,
    "emerg": Level.FATAL,
    "emergency": Level.FATAL,
    "fatal": Level.FATAL,
    "panic": Level.FATAL,
    "dpanic": Level.FATAL,
}
_DIGITS = frozenset("01234567")
_LETTERS = dict(zip("VTDIWEF", (Level.TRACE, *Level), strict=True))
_SYSLOG = (*[Level.FATAL] * 3, Level.ERROR, Level.WARN, Level.INFO, Level.INFO, Level.DEBUG)
_REDIS = {".": Level.DEBUG, "-": Level.DEBUG, "*": Level.INFO, "#": Level.WARN}
_PHP = {"Fatal": Level.FATAL, "Parse": Level.FATAL, "Warning": Level.WARN}

# Upper case anywhere in the head; lower case only where it cannot be an ordinary word.
_SHOUTED = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|SEVERE|CRITICAL|ALERT|EMERG|FATAL|PANIC)\b"
)
_MARKED = re.compile(
    r"[\[<](?:\w+:)?(trace|debug|info|notice|warn|warning|error|crit|alert|emerg|fatal)[\]>]"
    r"|\b(?:level|lvl|severity)=\"?([A-Za-z]+)"
    r"|^(trce|trace|dbug|debug|info|warn|warning|fail|error|crit|fatal|panic)(?: error)?: "
)
# klog, sd-daemon, single letters, redis, PHP: told by their first characters
_SIGNED = re.compile(
    r"([IWEF])\d{4} \d\d:\d\d:\d\d|<([0-7])>|\[([VTDIWEF])\]"
    r"|\d+:[XCSM] \d\d \w{3} \d{4} [\d:.]+ ([.*#-]) "
    r"|PHP (Fatal error|Parse error|Warning|Notice|Deprecated):"
)
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):"
    r"|(?:[\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Warning)(?::|$)"
    r"|Caused by: |panic: |thread '.*' panicked at "
)
_CONTINUES = re.compile(r"[ \t]+\S|\.\.\. \d+ more")


def level_value(value: object) -> Level | None:
    """Give the level that a value of a JSON line stands for; numbers are those of pino.

    >>> level_value("WARNING"), level_value(50), level_value("shrug"), level_value(True)
    (<Level.WARN: 'warn'>, <Level.ERROR: 'error'>, None, None)
    """
    if isinstance(value, str):
        return _LETTERS[value] if value in _LETTERS else _WORDS.get(value.lower())
    if isinstance(value, bool) or not isinstance(value, int) or not 10 <= value < 70:
        return None
    return tuple(Level)[value // 10 - 1]


def syslog_level(value: object) -> Level | None:
    """Give the level of a severity as syslog numbers it, 0 the gravest.

    >>> syslog_level(3), syslog_level("4"), syslog_level(17)
    (<Level.ERROR: 'error'>, <Level.WARN: 'warn'>, None)
    """
    text = str(value)
    return _SYSLOG[int(text)] if text in _DIGITS else None


def level_of(text: str) -> Level | None:
    """Give the level that a plain line names near its beginning.

    >>> level_of("2026-11-22 15:54:00,123 WARNING disk is low")
    <Level.WARN: 'warn'>
    >>> level_of("2026/11/22 15:54:00 [error] 7#7: connect() failed"), level_of("no error here")
    (<Level.ERROR: 'error'>, None)
    """
    head = text[:HEAD]
    found = _SHOUTED.search(head)
    if found:
        return _WORDS[found[1].lower()]
    found = _SIGNED.match(head)
    if found:
        return _signed(found)
    found = _MARKED.search(head)
    if found:
        return _WORDS.get((found[1] or found[2] or found[3]).lower())
    return Level.ERROR if _TRACEBACK.match(text) else None


def _signed(found: re.Match[str]) -> Level:
    klog, syslog, letter, redis, php = found.groups()
    if syslog:
        return _SYSLOG[int(syslog)]
    if redis:
        return _REDIS[redis]
    return _PHP.get(php.split()[0], Level.INFO) if php else _LETTERS[klog or letter]


def continues(text: str) -> bool:
    """Tell whether a line belongs to the one before: an indented line of a stack trace.

    >>> continues('  File "x.py", line 3'), continues("done")
    (True, False)
    """
    return _CONTINUES.match(text) is not None
