"""Change one value of weaver.yaml; comments and everything else stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.manifest import splice
from reconciler.manifest.config import CONFIG_FILE
from reconciler.manifest.nodes import MapNode
from reconciler.manifest.parse import parse
from reconciler.manifest.render import Style, pair_lines, style_of
from reconciler.manifest.schema import WEAVER, child, load
from reconciler.manifest.splice import LayoutError, Sheet
from reconciler.manifest.validate import check_config
from reconciler.manifest.values import with_value
from reconciler.manifest.wanted import Wanted, comparable


def with_setting(data: bytes, path: str, value: str) -> bytes:
    r"""Give the bytes of weaver.yaml in which a setting has the value that was typed.

    >>> with_setting(b"# mine\n", "metrics.listen", "127.0.0.1:9464").decode()
    '# mine\nmetrics:\n  listen: 127.0.0.1:9464\n'
    """
    parsed = parse(CONFIG_FILE, data)
    roots = [document.root for document in parsed.documents if document.root is not None]
    steps = path.split(".")
    new = _spliced(parsed.text, roots[0], steps, value) if roots else _begun(data, steps, value)
    found = check_config(parse(CONFIG_FILE, new))
    if found.config is None:
        raise CommandError(
            f"cannot set {path} to `{value}`: {CONFIG_FILE} would not be valid",
            details=[str(fault) for fault in found.diagnostics],
            mend="nothing was written",
            code=exits.USAGE,
        )
    return new


def _spliced(text: str, root: MapNode, steps: Sequence[str], value: str) -> bytes:
    """Change a document that sets something already."""
    schema = load(WEAVER)
    wanted = Wanted(value=with_value(comparable(root, schema), steps, value, schema))
    sheet = Sheet(text=text, style=style_of(text, root, is_json=False))
    try:
        return splice.apply(text, splice.map_splices(sheet, root, wanted, schema)).encode()
    except LayoutError as why:
        raise CommandError(
            f"cannot change {CONFIG_FILE}: its layout is too unusual ({why})",
            mend=f"change {CONFIG_FILE} by hand",
        ) from why


def _begun(data: bytes, steps: Sequence[str], value: str) -> bytes:
    """Put a first setting behind whatever remarks there are."""
    schema = load(WEAVER)
    new = with_value({}, steps, value, schema)
    lines = [
        line
        for key, inner in new.items()
        for line in pair_lines(key, inner, child(schema, key), 0, Style())
    ]
    gap = b"" if not data or data.endswith(b"\n") else b"\n"
    return data + gap + "\n".join(lines).encode() + b"\n"
