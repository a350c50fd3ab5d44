"""The schema, the model, the digest and the docs must tell the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import jsonschema
import pytest

from reconciler.manifest.codes import Code
from reconciler.manifest.digest import digest
from reconciler.manifest.explain import explain, overview, paths
from reconciler.manifest.fields import describe, effect_of, manifest_key
from reconciler.manifest.hooks import FIELDS
from reconciler.manifest.rules import contradictions
from reconciler.manifest.schema import SERVICE, WEAVER, Schema, load
from reconciler.model.change import Effect
from reconciler.model.errors import NotFoundError
from reconciler.model.spec import ServiceSpec
from tests.manifest import reading

BESIDE: dict[str, dict[str, Any]] = {
    "ready.tcp": {"type": "tcp"},
    "ready.http": {"type": "http", "http": {"url": "http://x"}},
    "ready.command": {"type": "command", "command": {"cmd": "x"}},
}
"""What must stand beside a key of a readiness probe for it to make sense."""
LEFT_BEHIND: dict[str, dict[str, Any]] = {
    "pattern": {"type": "logLine"},
    "path": {"type": "file"},
    "delay": {},
}
"""The type of readiness that a key is for."""
CHECKED: dict[str, dict[str, Any]] = {
    "http": {"url": "https://x"},
    "tcp": {"port": 1},
    "command": {"cmd": "x"},
    "custom": {"module": "x"},
    "mcp": {"url": "https://x"},
}
"""What has to be said for a check of each type."""
CHECKED_WITH: dict[str, dict[str, Any]] = {
    "cmd": {},
    "args": {"cmd": "x"},
}
"""What else has to stand beside a key of it."""
FREE_KEYS = {"limits": "nofile"}
"""A key of mappings that do not take just any."""


def properties(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}{key}", inner
        yield from properties(inner, f"{path}{key}.")
        free = inner.get("additionalProperties")
        if isinstance(free, dict):
            yield from properties(free, f"{path}{key}.{FREE_KEYS.get(key, 'db')}.")


SERVICE_FIELDS = dict(properties(load(SERVICE)))
EXAMPLES = [
    (path, number)
    for path, schema in SERVICE_FIELDS.items()
    for number in range(len(schema["examples"]))
]


@pytest.mark.parametrize("name", [SERVICE, WEAVER])
def test_the_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(load(name))
    assert load(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", [SERVICE, WEAVER])
def test_every_field_says_what_it_is(name: str) -> None:
    for path, schema in properties(load(name)):
        assert schema["description"].endswith("."), path
        assert schema["examples"], path


@pytest.mark.parametrize("path", SERVICE_FIELDS)
def test_every_field_of_a_service_has_an_effect(path: str) -> None:
    assert Effect(SERVICE_FIELDS[path]["x-effect"]) is effect_of(path)


def test_every_mapping_is_closed_but_those_of_free_keys() -> None:
    open_ones = {
        path
        for path, schema in SERVICE_FIELDS.items()
        if "object" in str(schema.get("type")) and schema.get("additionalProperties") is not False
    }
    hooks = {f"hooks.{key}.env" for key in FIELDS}
    assert open_ones == {
        "env",
        "labels",
        "annotations",
        "dependsOn",
        "healthCheck.custom.options",
        "healthCheck.http.headers",
        "healthCheck.mcp.headers",
        "limits",
        "reload.env",
        *hooks,
    }


def test_schema_and_model_know_the_same_fields() -> None:
    keys = {manifest_key(field.name) for field in fields(ServiceSpec)} - {""}
    assert keys == set(load(SERVICE)["properties"]) - {"apiVersion", "kind"}


def what_it_needs(path: str) -> dict[str, Any]:
    """Give the keys without which a field would do nothing."""
    if path.startswith("schedule"):
        return {"type": "oneshot"}
    if path == "update.revert":
        return {"instances": 3, "update": {"onFailure": "rollback"}}
    if path.startswith("update"):
        return {"instances": 3}
    if path.startswith("watch.") and path != "watch.paths":
        return {"watch": {"paths": ["app"]}}
    if path.startswith("reload.") and path not in ("reload.signal", "reload.command"):
        return {"reload": {"command": "x"}}
    beside = "" if "." in path else SERVICE_FIELDS[path].get("x-only-beside")
    return {beside: SERVICE_FIELDS[beside]["examples"][0]} if beside else {}


def health_with(path: str, value: Any) -> dict[str, Any]:
    """Make a check that has this value at this path."""
    part, _, key = path.rpartition(".")
    kind = (part or key) if (part or key) in CHECKED else value if key == "type" else "tcp"
    check: dict[str, Any] = {"type": kind, kind: CHECKED[kind]}
    if key in ("type", kind):
        return check | {key: value}
    if key == "startInterval":
        check["startPeriod"] = "1m"
    if not part:
        return check | {key: value} | ({"interval": "1m"} if key == "timeout" else {})
    return check | {part: {**CHECKED_WITH.get(key, check.get(part, {})), key: value}}


def ready_with(key: str, value: Any) -> dict[str, Any]:
    """Make a readiness probe that has this value at this key."""
    if key == "type":
        return {"type": value, value: SERVICE_FIELDS[f"ready.{value}"]["examples"][0]}
    tcp = {"type": "tcp", "tcp": {"port": 1}}
    beside = {"type": key} if isinstance(value, dict) else LEFT_BEHIND.get(key, tcp)
    return {"type": "delay", **beside, key: value}


def document_with(path: str, value: Any) -> dict[str, Any]:
    """Make a valid document that has this value at this path."""
    document: dict[str, Any] = {"name": "web", "command": "sleep 1", **what_it_needs(path)}
    document |= {"sockets": [{"listen": "tcp://127.0.0.1:80"}]} if value == "cluster" else {}
    if path.startswith("healthCheck."):
        value = health_with(path.removeprefix("healthCheck."), value)
        path = "healthCheck"
    above, _, key = path.rpartition(".")
    if not above:
        document[key] = value
    elif above == "ready":
        document["ready"] = ready_with(key, value)
    elif above in BESIDE:
        document["ready"] = BESIDE[above] | {
            above[6:]: {**BESIDE[above].get(above[6:], {}), key: value}
        }
        if above == "ready.tcp":
            document["ready"]["tcp"].setdefault("port", 1)
    elif above == "schedule":
        document["schedule"] = ({} if key == "every" else {"cron": "@daily"}) | {key: value}
    elif above.startswith("hooks."):
        document["hooks"] = {above.removeprefix("hooks."): {"command": "x", key: value}}
    elif above in ("dependsOn.db", "limits.nofile"):
        mapping, _, name = above.partition(".")
        document[mapping] = {name: {key: value}}
    else:
        document[above] = {**document.get(above, {}), key: value}
    return document


@pytest.mark.parametrize(("path", "number"), EXAMPLES)
def test_every_example_is_valid(path: str, number: int) -> None:
    import json

    document = document_with(path, SERVICE_FIELDS[path]["examples"][number])
    read = reading.result(json.dumps(document), "services.d/web.json")
    assert not read.diagnostics, (document, [str(found) for found in read.diagnostics])


@pytest.mark.parametrize("path", [p for p in SERVICE_FIELDS if p not in ("apiVersion", "kind")])
def test_y17_a_new_digest_comes_of_restart_fields_alone(path: str) -> None:
    import json

    document = document_with(path, SERVICE_FIELDS[path]["examples"][0])
    kind = "type: oneshot\n" if path.startswith("schedule") else ""
    plain = reading.spec(f"name: web\ncommand: sleep 1\n{kind}")
    changed = reading.spec(json.dumps(document))
    differs = digest(plain, {}) != digest(changed, {})
    assert differs == (effect_of(path) is Effect.RESTART), describe(changed)


@pytest.mark.parametrize("path", [p for p in SERVICE_FIELDS if p not in ("apiVersion", "kind")])
def test_what_a_spec_is_described_by_are_fields_of_the_schema(path: str) -> None:
    import json

    spec = reading.spec(json.dumps(document_with(path, SERVICE_FIELDS[path]["examples"][0])))
    for described in describe(spec):
        assert effect_of(described) in Effect


def test_defaults_of_the_schema_are_those_of_the_model() -> None:
    """A document that spells out every default means the same as one that says nothing."""
    spelt = {
        key: schema["default"]
        for key, schema in load(SERVICE)["properties"].items()
        if schema.get("default") not in (None, "")
    }
    spelt["backoff"] = {
        key: schema["default"]
        for key, schema in load(SERVICE)["properties"]["backoff"]["properties"].items()
    }
    document = {"name": "web", "command": "sleep 1", **spelt}
    assert not list(contradictions(document, load(SERVICE)))
    import json

    assert reading.spec(json.dumps(document)) == reading.spec("name: web\ncommand: sleep 1\n")


def test_every_field_can_be_explained() -> None:
    for path in paths():
        text = explain(path)
        assert text.startswith(path), path
        assert max(map(len, text.splitlines())) <= 100, path
    assert all(path in overview() for path in paths())


def test_a_field_under_a_name_is_explained_with_the_name_left_out() -> None:
    assert explain("dependsOn.onRestart").startswith("dependsOn.NAME.onRestart: none, restart\n")
    assert explain("dependsOn.onRestart") == explain("dependsOn.NAME.onRestart")
    assert "dependsOn.NAME.onRestart" in explain("dependsOn").rpartition("has: ")[2]


def test_explaining_what_is_no_field_asks_what_was_meant() -> None:
    with pytest.raises(NotFoundError, match="no such field") as caught:
        explain("ready.htp.url")
    assert "ready.http.url" in caught.value.mend


def test_codes_are_unique_and_say_what_they_mean() -> None:
    assert len({code.value for code in Code}) == len(Code)
    assert all(code.meaning and "\n" not in code.meaning for code in Code)


def test_what_is_said_of_a_field_fits_a_terminal_of_80_columns() -> None:
    wide = {line for path in paths() for line in explain(path).split("\n") if len(line) > 80}
    assert wide == set()
