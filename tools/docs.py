"""Write every page of docs/ that is made from the code.

python -m tools.docs            rewrite them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from reconciler.api.openapi import openapi_document
from reconciler.api.reference import api_reference
from tools import cli_reference, lifecycle_reference, manifest_reference, metrics_reference

DOCS = Path(__file__).parents[1] / "docs"

PAGES: Mapping[str, Callable[[], str]] = {
    "api.md": api_reference,
    "cli.md": cli_reference.page,
    "lifecycle.md": lifecycle_reference.page,
    "manifest.md": manifest_reference.page,
    "metrics.md": metrics_reference.page,
    "openapi.json": lambda: openapi_document().decode(),
}


def main() -> None:
    """Write the pages that are not current."""
    for name, page in PAGES.items():
        file, text = DOCS / name, page()
        if not file.exists() or file.read_text("utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
