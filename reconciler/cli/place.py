"""Find the repository that a command is about, and the socket of its daemon.

The fast path imports this module, so it imports nothing heavier than `os`.
"""

import os

MARKS = (".weaver", "services.d", "weaver.yaml")
"""What a directory holds that is somebody's repository, or the home of a daemon."""


def nearest(start: str) -> str | None:
    """Give the nearest directory, from `start` upwards, that Weaver has to do with."""
    here = os.path.realpath(start)
    while True:
        if any(os.path.exists(f"{here}/{mark}") for mark in MARKS):
            return here
        above = os.path.dirname(here)
        if above == here:
            return None
        here = above


def named_root(directory: str | None) -> str | None:
    """Give the repository named by `-C`, the working directory or WEAVER_DIR, in this order.

    `-C` names a directory inside of it; where nothing is found, it is that directory itself.
    """
    if directory is not None:
        return nearest(directory) or os.path.realpath(directory)
    try:
        here = os.getcwd()
    except FileNotFoundError:
        here = "/"
    named = os.environ.get("WEAVER_DIR")
    return nearest(here) or (os.path.realpath(named) if named else None)


def state_dir(given: str | None) -> str | None:
    """Give the state directory that was asked for; None: the repository's own."""
    chosen = given or os.environ.get("WEAVER_STATE_DIR")
    return os.path.abspath(chosen) if chosen else None
