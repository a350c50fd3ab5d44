"""Hash what reaches a service's process: a new digest means a new process.

The hash is over canonical JSON of the fields whose effect is `restart`, as normalised in the spec,
and of the contents of its env files. A field at its default is left out, so that a later version
of Weaver which knows more fields restarts nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields
from functools import cache
from typing import Any

from reconciler.manifest.fields import effect_of, manifest_key
from reconciler.model.change import Effect
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest


def digest(spec: ServiceSpec, env_files: Mapping[str, bytes | None]) -> Digest:
    """Give the digest of a spec; `env_files` holds the contents by path, None where missing."""
    content = {
        key: value for key, field, default in _parts() if (value := getattr(spec, field)) != default
    }
    if spec.env_file:
        content["envFile"] = [[path, _hash(env_files.get(path))] for path in spec.env_file]
    canonical = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=asdict
    )
    return Digest(hashlib.sha256(canonical.encode()).hexdigest())


@cache
def _parts() -> tuple[tuple[str, str, Any], ...]:
    """Give the fields that reach the process: manifest key, spec field, default."""
    return tuple(
        (key, field.name, _default(field))
        for field in fields(ServiceSpec)
        if (key := manifest_key(field.name)) and effect_of(key) is Effect.RESTART
    )


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()
