"""Give every kind of fault its code: the documentation's table is made from this one.

`W1..` syntax of one file, `W2..` meaning of one document, `W3..` what files say about each other.
A code is never used again for something else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """The code of a fault, and in one line what it means."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        """Make a member that is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    NOT_UTF8 = "W101", "the file is not UTF-8 text"
    CONTROL_CHARACTER = "W102", "a character that no text contains: NUL, C1, a lone carriage return"
    TOO_LARGE = "W103", "the file is larger than 1 MiB"
    TOO_DEEP = "W104", "collections are nested deeper than 64"
    TOO_MANY_NODES = "W105", "the file has more than 50,000 nodes"
    SYNTAX = "W106", "the text is not YAML"
    TAB = "W107", "a tab outside of quotes, block text and comments"
    DUPLICATE_KEY = "W108", "a key occurs twice in one mapping"
    KEY_NOT_TEXT = "W109", "a key is not text: a number, true, null or a collection"
    ALIAS = "W110", "an anchor or an alias"
    TAG = "W111", "a tag"
    DIRECTIVE = "W112", "a % directive"
    EMPTY = "W113", "the file or document is empty; that never means that there are no services"
    NOT_A_MAPPING = "W114", "a document that is not a mapping"
    UNREADABLE = "W116", "the file cannot be read"
    TOO_COSTLY = "W117", "reading the file took more memory or time than one file may"
    MORE = "W118", "more faults than are listed"

    UNKNOWN_KEY = "W201", "a key that does not exist"
    MISSING_KEY = "W202", "a key that must be there is not"
    WRONG_TYPE = "W203", "a value of another type than the key takes"
    UNKNOWN_VALUE = "W204", "a value that is none of those allowed"
    MALFORMED = "W205", "text that does not have the form it must have"
    OUT_OF_RANGE = "W206", "a number, length or count out of its range"
    NO_VALUE = "W207", "a key without a value"
    DURATION = "W208", "a span of time that cannot be read"
    PLACEHOLDER = "W209", "a ${...} that is unknown, or where nothing is filled in"
    WORDS = "W210", "a command that cannot be split into words"
    NO_EFFECT = "W211", "a key that would do nothing beside the others"
    BESIDE = "W212", "two values that contradict each other"
    REPEATED = "W213", "an item that occurs twice in a list"
    SHARED_LOG = "W214", "several processes append to one log file (warning)"
    SIZE = "W215", "a size that cannot be read"
    LIMIT = "W216", "a limit that cannot be used"
    SCHEDULE = "W217", "a cron expression or a time zone that cannot be used"
    LOG_AMONG_MANIFESTS = "W218", "a log file in services.d (warning)"
    ADDRESS = "W220", "an address that nobody can listen on"
    SHARED_TARGET = "W221", "one address is asked about each of several instances (warning)"
    BACKTRACKING = "W222", "a pattern that can take for ever to match (warning)"

    UNKNOWN_NEED = "W301", "a need that no manifest defines (warning where it is not required)"
    NEEDS_ITSELF = "W302", "a service that needs itself"
    CYCLE = "W303", "services that need each other"
    DUPLICATE_NAME = "W304", "a service that is defined twice"
    NEVER_COMPLETES = "W305", "`completed` of a service that is not a oneshot"
    NO_ENV_FILE = "W306", "an envFile that is not there or cannot be read"
    FOREIGN_FILE = "W307", "a file in services.d that is no manifest (warning)"
    OUTSIDE = "W308", "a symlink that leaves the repository, or leads nowhere"
    TOO_MANY_FILES = "W309", "more files in services.d than are looked at"
    NO_RELOAD_FILE = "W310", "a file of reloadOn that is not there or cannot be read (warning)"
    SAME_ADDRESS = "W311", "services that listen on one address (warning where one is a `port`)"
    NEVER_HEALTHY = "W312", "`healthy` of a service without `healthCheck`"
