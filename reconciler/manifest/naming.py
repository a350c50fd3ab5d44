"""Say which files are manifests."""

from __future__ import annotations

FOLDER = "services.d"
SUFFIXES = (".yaml", ".yml", ".json")

_HIDDEN = (".", "#")
_TEMPORARY = (
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".tmp",
    ".part",
    ".crswap",
    "___jb_tmp___",
    "___jb_old___",
)
"""Ends of the names that editors give to files of a moment."""
_PROBE_OF_VIM = "4913"


def is_passing(name: str) -> bool:
    """Tell whether a file or folder is none of ours: hidden, or an editor's for a moment.

    >>> is_passing(".web.yaml.swp"), is_passing("web.yaml~"), is_passing("web.yaml")
    (True, True, False)
    """
    return name.startswith(_HIDDEN) or name.endswith(_TEMPORARY) or name == _PROBE_OF_VIM


def is_manifest(path: str) -> bool:
    """Tell whether a path, relative to the repository, is read as a manifest.

    >>> is_manifest("services.d/team/web.yaml"), is_manifest("services.d/.old/web.yaml")
    (True, False)
    """
    folder, *inner = path.split("/")
    return (
        folder == FOLDER
        and bool(inner)
        and path.endswith(SUFFIXES)
        and not any(is_passing(part) for part in inner)
    )
