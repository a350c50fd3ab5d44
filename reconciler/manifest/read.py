"""Read one file from its bytes to its meaning: parse and validate together."""

from __future__ import annotations

from reconciler.manifest.config import Config, ConfigResult
from reconciler.manifest.parse import parse
from reconciler.manifest.result import FileResult
from reconciler.manifest.validate import check, check_config


def read_manifest(file: str, data: bytes, config: Config) -> FileResult:
    """Give what a manifest says, completed by the defaults of weaver.yaml."""
    return check(parse(file, data), config)


def read_config(file: str, data: bytes) -> ConfigResult:
    """Give what weaver.yaml says."""
    return check_config(parse(file, data))
