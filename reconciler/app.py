"""The composition root: the one file that names concrete adapters, and puts Weaver together.

The command line starts everything through these functions:

* `run_foreground(options, show)` runs the daemon in this process and gives its exit code; `show`
  gets every message as it comes (`EventSeen`, `Note`, `Problem`, at the end `Summary`).
* `start_detached(options)` starts a daemon of its own and gives its pid once it answers on its
  socket; then `POST /v1/operations {kind: settle}` reports how it converges, exactly as beside a
  daemon that ran before.
* `find_running(options)` tells which daemon holds this directory, if one does.
* `open_offline(directory)` reads manifests with no daemon.

All of them raise `WeaverError` for what a person can mend.
"""

from __future__ import annotations

from reconciler.runtime.options import UpOptions

__all__ = ["UpOptions"]
