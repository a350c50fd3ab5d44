"""The manifests and settings that `init` and `new` write, each with comments to edit by."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.manifest.schema import SERVICE, WEAVER

SCHEMA_PLACE = ".weaver-schema"
"""A directory in the repository: editors find the schema there in every clone."""


def modeline(schema: str, depth: int = 0) -> str:
    """Give the first line by which editors check and complete a file.

    >>> modeline("service.v1.schema.json", depth=1)
    '# yaml-language-server: $schema=../.weaver-schema/service.v1.schema.json'
    """
    return f"# yaml-language-server: $schema={'../' * depth}{SCHEMA_PLACE}/{schema}"


EXAMPLE = f"""\
{modeline(SERVICE, depth=1)}
#
# One service. `name` and `command` are enough; everything else has a default.
# Weaver acts on every save. This one stays stopped until you say: weaver start hello
# All fields: weaver explain

name: hello
description: Serves the files of this repository on http://127.0.0.1:8000
command: python3 -m http.server --bind 127.0.0.1 8000
state: stopped            # running: start it, and keep it running

# env:                    # only these, PATH, HOME and the like: nothing leaks in
#   GREETING: hello
# dependsOn: [db]         # start once db is ready
# ready:                  # when it counts as ready; default: it has run for 1 s
#   type: http
#   http:
#     url: http://127.0.0.1:8000/
"""

SETTINGS = f"""\
{modeline(WEAVER)}
#
# Settings of Weaver for this repository; every line is optional. See: weaver config list

# metrics:
#   listen: 127.0.0.1:9464    # Prometheus metrics here too, besides the socket
# git:
#   autoCommit: false         # write files, and leave committing to me
#   push: true                # push those commits to where the branch goes
"""

_HEAD = f"""\
{modeline(SERVICE, depth=1)}
name: {{name}}
"""

_TAIL = """\
state: stopped            # edit, then: weaver start {name}
"""

KINDS: Mapping[str, str] = {
    "api": _HEAD
    + """\
description: What it serves, and to whom
command: python3 -m http.server --bind 127.0.0.1 8000
"""
    + _TAIL
    + """\

env:
  LOG_LEVEL: info
# cwd: app                # where it runs; default: the top of the repository
# envFile: [.env]         # KEY=VALUE lines; a change of the file restarts it
# dependsOn: [db]         # start once db is ready

ready:                    # when it counts as ready
  type: http
  http:
    url: http://127.0.0.1:8000/
# startTimeout: 60s       # not ready by then: it counts as crashed
# stopTimeout: 10s        # after stopSignal; then SIGKILL
""",
    "worker": _HEAD
    + """\
description: What it works on
command: python3 worker.py
"""
    + _TAIL
    + """\
instances: 2              # ${{instance}} is 0 and 1

env:
  WORKER: ${{instance}}
# dependsOn:
#   api: {{condition: ready}}

restart: always           # or on-failure, never
backoff:                  # 1s, 2s, 4s ... 60s between restarts
  initial: 1s
  max: 60s
maxRestarts: 10           # then it is given up, until: weaver start {name}
""",
    "oneshot": _HEAD
    + """\
description: What it prepares
type: oneshot             # runs once and exits 0; again when its manifest changes
command: python3 prepare.py
"""
    + _TAIL
    + """\

# startTimeout: 10m       # how long it may take; default: as long as it likes
restart: on-failure
maxRestarts: 3

# Services that need its result say:
#   dependsOn:
#     {name}: {{condition: completed}}
""",
    "cron": _HEAD
    + """\
description: What it does, and how often
type: oneshot
command: python3 report.py
"""
    + _TAIL
    + """\

schedule:
  cron: "0 3 * * *"       # minute hour day month weekday; or: every: 10m
  timezone: UTC           # default: that of the host
  overlap: skip           # the last run still goes on: skip, queue or replace
  catchUp: none           # once: make up for times at which nobody was there

# startTimeout: 1h        # how long a run may take; default: as long as it likes
restart: on-failure       # a run that fails is tried again
maxRestarts: 3            # then not before its next time

# Run it now: weaver restart {name}
""",
}


def kind_text(kind: str, name: str) -> str:
    """Give the manifest of a kind of service.

    >>> kind_text("api", "shop").splitlines()[1]
    'name: shop'
    """
    return KINDS[kind].format(name=name)
