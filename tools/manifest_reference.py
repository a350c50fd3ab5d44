"""Write docs/manifest.md from the schemas and the table of faults, which validation goes by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.manifest.codes import Code
from reconciler.manifest.explain import insides, kind_of, paths, rules_of, spelt
from reconciler.manifest.schema import SERVICE, WEAVER, Schema, child, load

HEAD = """\
# Manifests

<!-- Written by `make docs` from schemas/ and reconciler/manifest/codes.py; do not edit. -->

A manifest says what one service is. Manifests are the files `services.d/**/*.yaml`, `.yml` and
`.json`, one service a document. Files whose names begin with a dot and the temporary files of
editors are ignored; anything else there is a warning. `weaver explain FIELD` shows what is on this
page in a terminal, and an editor with the YAML language server completes and checks the fields by
the schema that `weaver init` puts beside them.

The smallest one:

```yaml
name: web
command: python3 -m http.server 8000
```

One that uses more:

```yaml
name: shop-api
description: Takes orders
labels: {team: shop}
command: exec python3 -m shop.api --port "$PORT"
shell: true                  # a shell runs it, and fills $PORT in
env:
  PORT: "8000"
dependsOn:
  migrate: {condition: completed}
  db: {condition: ready, onRestart: restart}
ready:
  type: http
  http: {url: "http://127.0.0.1:8000/health"}
instances: 1
restart: on-failure
backoff: {initial: 1s, max: 30s}
maxRestarts: 5
stopTimeout: 20s
---
name: migrate
type: oneshot
command: python3 -m shop.migrate
---
name: db
command: redis-server --port 6379
ready:
  type: tcp
  tcp: {port: 6379}
```

## How values are written

* The files are strict YAML 1.2: `no` and `on` are text, and duplicate keys, tabs between tokens,
  anchors, aliases and tags are errors. A file has at most 1 MiB.
* A span of time is `"500ms"`, `"10s"`, `"5m"`, `"1h"`, `"2d"` or `"1w"`. A bare number is
  milliseconds; one below 100 is an error that asks which unit was meant.
* Values in `env`, `labels`, `annotations`, `args` and `version` are the text as written: `0800`
  stays `0800` and `3.10` stays `3.10`.
* `${instance}`, `${name}` and `${port}` are filled in where a field below says so. With
  `shell: true` the shell expands the rest of `command`. `$$` is a dollar.
* Relative paths begin at the root of the repository.
* Keys that begin with `x-` are ignored: they are yours.

A file that cannot be used never stops anything: the services that it last defined keep running as
they were last good, shown as `Invalid`, until the file is mended.

## What a change does

Every field has one of these effects. `weaver diff` shows it before it happens.

| effect | when the field changes |
|---|---|
| `metadata` | nothing happens to any process |
| `live` | it is in force at once, and no process is touched |
| `restart` | the service's processes are replaced; no other service's are |
| `structural` | processes come or go; those that stay are not touched |
| `state` | the service is started or stopped |
"""

FAULTS = """\
## Faults

`weaver validate`, `weaver diff`, `weaver apply` and the daemon report all faults of all files at
once, each as `file:line:column: CODE fact` and how to mend it.

| code | means |
|---|---|"""


def page() -> str:
    """Give the whole page."""
    return "\n".join([HEAD, *_service(), *_settings(), FAULTS, *_faults()]) + "\n"


def _service() -> Iterator[str]:
    """Give the fields of a service: a table, then a section each."""
    fields = _fields(SERVICE)
    yield from ("## Fields", "", "| field | takes | default | effect |", "|---|---|---|---|")
    for path, schema in fields:
        cells = (_link(path), _cell(_takes(schema)), _default(schema), _code(_effect(schema)))
        yield f"| {' | '.join(cells)} |"
    yield ""
    for path, schema in fields:
        yield from _section(path, schema)


def _settings() -> Iterator[str]:
    """Give the fields of weaver.yaml."""
    yield from ("## weaver.yaml", "", str(load(WEAVER)["description"]), "")
    yield "`weaver config list` shows what is in force, `weaver config set` changes it."
    yield ""
    for path, schema in _fields(WEAVER):
        if path != "apiVersion" and not path.startswith("defaults."):
            yield from _section(path, schema)


def _faults() -> Iterator[str]:
    """Give a row for each code."""
    for code in Code:
        yield f"| `{code.value}` | {_cell(code.meaning)} |"


def _section(path: str, schema: Schema) -> Iterator[str]:
    """Give what there is to know of one field."""
    yield from (f"### `{path}`", "", str(schema["description"]), "")
    facts = [f"takes: {_takes(schema)}"] if _takes(schema) else []
    if _default(schema):
        facts.append(f"default: {_default(schema)}")
    facts += [f"{rule}" for rule in rules_of(schema)]
    if _effect(schema):
        facts.append(f"effect: {_code(_effect(schema))}")
    yield from (f"* {fact}" for fact in facts)
    yield from ("", "```yaml", *_examples(path, schema), "```", "")


def _examples(path: str, schema: Schema) -> Iterator[str]:
    """Give the examples as they stand in a file, below the keys that the field is in."""
    *above, key = path.replace("limits.NAME", "limits.nofile").split(".")
    for number, example in enumerate(schema["examples"]):
        if number:
            yield "# or"
        for depth, outer in enumerate(above):
            yield f"{'  ' * depth}{'db' if outer == 'NAME' else outer}:"
        dash = "- " if above == ["sockets"] else ""
        yield f"{'  ' * len(above)}{dash}{key}: {_quoted(example)}"


def _quoted(example: Any) -> str:
    """Write an example; text that YAML would take for something else gets quotes."""
    text = spelt(example)
    is_odd = isinstance(example, str) and (": " in text or text[:1] in "[{&*!|>'\"%@`^#")
    return f'"{text}"' if is_odd else text


def _fields(name: str) -> list[tuple[str, Schema]]:
    """Give each field of a schema with its path."""
    root = load(name)
    found = []
    for path in dict.fromkeys(paths()):
        schema: Schema = root
        for step in path.split("."):
            schema = child(insides(schema), step)
        if "description" in schema and path.split(".")[0] in root["properties"]:
            found.append((path, schema))
    return found


def _takes(schema: Schema) -> str:
    return kind_of(schema)


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else _code(spelt(default))


def _effect(schema: Schema) -> str:
    return str(schema.get("x-effect", ""))


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _link(path: str) -> str:
    """Give a link to the field's own section, as GitHub names it."""
    return f"[`{path}`](#{path.replace('.', '').lower()})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
