"""Check a document against its schema, and say what does not fit in words for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple, cast

import jsonschema.validators
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator

from reconciler.manifest.codes import Code
from reconciler.manifest.nodes import Path, Unfit
from reconciler.manifest.schema import Schema, child, load
from reconciler.manifest.suggest import closest, did_you_mean, key_mend, service_name


class Fault(NamedTuple):
    """Something wrong at a path of a document; its place is found later."""

    path: Path
    code: Code
    message: str
    mend: str = ""
    at_key: bool = False
    """Whether the key itself is at fault, not its value."""
    is_warning: bool = False


_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_AMOUNTS = {
    "duration": 'a span of time like "10s"',
    "size": 'a size like "10M"',
    "limit": "a number, a size or `unlimited`",
}
"""Kinds of values that rules.py reads: it says better what is wrong with them."""
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_KIND_OF_DOCUMENT = {"Weaver service": "a service", "Weaver settings": "weaver.yaml"}
_SHOWN = 40
_ONLY_FOR_READERS = ("$schema", "title", "description", "examples", "default")


Written = Callable[[Path], str | None]
"""Gives the scalar at a path as the person wrote it; None where there is none."""


def schema_faults(document: Any, schema_name: str, written: Written) -> Iterator[Fault]:
    """Give everything that does not fit the schema, in no special order."""
    schema = load(schema_name)
    for error in _validator(schema_name).iter_errors(document):
        yield from _faults(error, schema, written)


@cache
def _validator(schema_name: str) -> Validator:
    extend: Any = jsonschema.validators.extend
    kind: type[Validator] = extend(Draft202012Validator, {"pattern": _whole_pattern})
    return kind(_without_annotations(load(schema_name)))


def _whole_pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[ValidationError]:
    """Match the whole text: Python's `$` also matches before a line feed at the end."""
    if isinstance(text, str) and not re.fullmatch(pattern, text):
        yield ValidationError("does not match")


def _without_annotations(schema: Any) -> Any:
    """Leave out what only people read: the validator would visit it for every value."""
    if not isinstance(schema, dict):
        return schema
    lean = {}
    for key, value in schema.items():
        if key == "properties":
            lean[key] = {name: _without_annotations(inner) for name, inner in value.items()}
        elif key not in _ONLY_FOR_READERS and not key.startswith("x-"):
            lean[key] = _without_annotations(value)
    return lean


def _faults(error: ValidationError, top: Schema, written: Written) -> Iterator[Fault]:
    """Turn one finding of jsonschema into faults: one, but for several unknown keys."""
    path, found = tuple(error.absolute_path), cast(Any, error.instance)
    schema = _annotated(top, path)
    is_amount = schema.get("x-kind") in _AMOUNTS
    match error.validator:
        case "pattern" | "minimum" if is_amount:
            return
        case "additionalProperties":
            yield from _unknown_keys(path, found, schema, top)
        case "required":
            yield from _missing_keys(path, found, schema)
        case "type":
            yield _wrong_type(path, found, schema, written(path))
        case "enum" | "const":
            yield _unknown_value(path, found, schema)
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            yield _malformed_key(path, found, schema)
        case "not":
            mend = "Weaver sets it for every process; choose another name"
            message = f"`{found}` cannot be set"
            yield Fault((*path, found), Code.MALFORMED, message, mend, at_key=True)
        case "pattern":
            yield _malformed(path, found, schema)
        case "uniqueItems":
            message = f"`{_name(path)}` has the same item twice"
            yield Fault(path, Code.REPEATED, message, "remove one of them")
        case rule:
            yield _out_of_range(path, str(rule), error.validator_value, found)


def _annotated(top: Schema, path: Path) -> Schema:
    """Give the schema at a path with its annotations, which the validator does not see."""
    for step in path:
        top = child(top, step)
    return top


def _unknown_keys(path: Path, found: Any, schema: Schema, top: Schema) -> Iterator[Fault]:
    where = f"`{_name(path)}`" if path else _KIND_OF_DOCUMENT[top["title"]]
    for key in found:
        if key not in schema["properties"]:
            message = f"`{shorten(key)}` is not a key of {where}"
            mend = key_mend(key, path, schema, top)
            yield Fault((*path, key), Code.UNKNOWN_KEY, message, mend, at_key=True)


def _missing_keys(path: Path, found: Any, schema: Schema) -> Iterator[Fault]:
    where = f"`{_name(path)}`" if path else "this service"
    known = schema["properties"]
    meant = {closest(other, known) for other in found if other not in known}
    for key in schema["required"]:
        # A misspelt key is told as such; that the right one is missing goes without saying.
        if key not in found and key not in meant:
            inner = schema["properties"][key]
            choices = [value for value in inner.get("enum", ()) if value in found]
            example = _spelt((choices or inner["examples"])[0])
            mend = f"add it: `{key}: {example}`"
            yield Fault(path, Code.MISSING_KEY, f"{where} has no `{key}`", mend, at_key=True)


def _wrong_type(path: Path, found: Any, schema: Schema, written: str | None) -> Fault:
    name = _name(path)
    types = schema.get("type", [])
    wanted = [types] if isinstance(types, str) else list(types)
    is_text = "string" in wanted
    if found is None:
        pattern, shortest = schema.get("pattern", ".*"), schema.get("minLength", 0)
        may_be_empty = is_text and not shortest and re.fullmatch(pattern, "")
        mend = 'write "" if it is meant to be empty' if may_be_empty else "give it one"
        return Fault(path, Code.NO_VALUE, f"`{name}` has no value", mend, at_key=True)
    if schema.get("x-text"):
        wanted = [kind for kind in wanted if kind not in ("number", "boolean")]
    kinds = " or ".join(_KINDS[kind] for kind in wanted)
    kinds = _AMOUNTS.get(schema.get("x-kind", ""), kinds)
    if isinstance(found, Unfit):
        message = f"`{name}` is {shorten(found.text)}, a number that nothing can hold"
        return Fault(path, Code.OUT_OF_RANGE, message, f"it takes {kinds}")
    as_written = shorten(_spelt(found) if written is None else written)
    message = f"`{name}` takes {kinds}, not {_described(found, as_written)}"
    return Fault(path, Code.WRONG_TYPE, message, _type_mend(name, found, schema, as_written))


def _type_mend(name: str, found: Any, schema: Schema, written: str) -> str:
    key, wanted = name.rpartition(".")[2], schema.get("type", [])
    if schema.get("x-kind") == "duration" and isinstance(found, float):
        return f"write `{written}s` for seconds"
    if schema.get("x-kind") == "duration":
        return 'write a number and a unit: "500ms", "10s", "5m", "1h", "2d", "1w"'
    if schema.get("x-kind") == "limit":
        return 'for example 1024, "64M" or `unlimited`'
    if schema.get("x-kind") == "size":
        return 'write a number and a unit of 1024s: "64K", "512M", "2G"'
    if "string" in wanted and isinstance(found, bool | int | float):
        return f'if it is text, put it in quotes: {key}: "{written}"'
    if "boolean" in wanted and isinstance(found, str) and found.lower() in _YES_NO:
        return f"write `{_YES_NO[found.lower()]}`: in YAML 1.2 `{found}` is a word"
    if "integer" in wanted and isinstance(found, str) and found.isascii() and found.isdigit():
        return f"remove the quotes: {key}: {found}"
    if "array" in wanted and isinstance(found, str | bool | int | float):
        return f"write a list: {key}: [{_spelt(found)}]"
    examples = schema.get("examples", [])
    return f"for example {key}: {_spelt(examples[0])}" if examples else ""


def _unknown_value(path: Path, found: Any, schema: Schema) -> Fault:
    name = _name(path)
    allowed = schema.get("enum") or [schema["const"]]
    if found is None:
        return Fault(path, Code.NO_VALUE, f"`{name}` has no value", _one_of(allowed), at_key=True)
    text = found.text if isinstance(found, Unfit) else _spelt(found)
    guess = closest(text, allowed) or closest(f"SIG{text}", allowed)
    mend = f"did you mean `{guess}`?" if guess else _one_of(allowed)
    message = f"`{name}` cannot be `{shorten(text)}`"
    return Fault(path, Code.UNKNOWN_VALUE, message, mend)


def _one_of(allowed: list[str]) -> str:
    names = [f"`{value}`" for value in allowed]
    return f"write {names[0]}" if len(names) == 1 else f"write one of {', '.join(names)}"


def _malformed_key(path: Path, key: str, schema: Schema) -> Fault:
    form = schema.get("x-key-form", "another form")
    message = f"`{shorten(key)}` cannot be a key of `{_name(path)}`"
    return Fault((*path, key), Code.MALFORMED, message, f"a key is {form}", at_key=True)


def _malformed(path: Path, found: str, schema: Schema) -> Fault:
    form = schema.get("x-form", "of another form")
    message = f"`{_name(path)}` cannot be `{shorten(found)}`"
    mend = f"it is {form}"
    if path and path[-1] == "name" and (name := service_name(found)):
        mend += f"; for example `{name}`"
    if form == "a number or `unlimited`":
        mend = did_you_mean(found, ["unlimited"]) or mend
    return Fault(path, Code.MALFORMED, message, mend)


def _out_of_range(path: Path, rule: str, limit: Any, found: Any) -> Fault:
    name = _name(path)
    match rule:
        case "minimum":
            message, mend = f"`{name}` cannot be {_spelt(found)}", f"the smallest value is {limit}"
            if name == "instances":
                mend = "to run none, write `state: stopped`"
        case "maximum":
            message, mend = f"`{name}` cannot be {_spelt(found)}", f"the largest value is {limit}"
        case "minLength" | "minItems":
            message, mend = f"`{name}` is empty", "give it a value, or remove the key"
        case "maxLength":
            message = f"`{name}` has {len(found):,} characters"
            mend = f"at most {limit:,} are allowed"
        case "maxItems":
            message, mend = f"`{name}` has {len(found):,} items", f"at most {limit:,} are allowed"
        case _:
            message, mend = f"`{name}` does not fit the schema: {rule}", ""
    return Fault(path, Code.OUT_OF_RANGE, message, mend)


def shorten(text: str) -> str:
    """Cut a text of the person's that is quoted back, on one line and without tricks."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."


def _described(found: Any, written: str) -> str:
    """Say what a value is, with the value where it is short."""
    match found:
        case bool():
            return f"`{written}`"
        case int() | float():
            return f"the number {written}"
        case str():
            return f"the text `{written}`"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _spelt(found: Any) -> str:
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, dict):
        return "{" + ", ".join(f"{key}: {_spelt(value)}" for key, value in found.items()) + "}"
    if isinstance(found, list):
        return "[" + ", ".join(_spelt(value) for value in found) + "]"
    return shorten(str(found))


def _name(path: Path) -> str:
    """Give a path as people write it: `ready.http.url`, `args[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return shorten(text)
