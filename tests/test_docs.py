"""The documents: those made from the code are current, nothing is left out, every link leads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler.cli.root import root_command
from reconciler.manifest.codes import Code
from reconciler.manifest.config import CONFIG_FILE
from reconciler.manifest.explain import paths
from reconciler.manifest.parse import parse
from reconciler.manifest.validate import check, check_config
from reconciler.model.diagnostic import Diagnostic
from tools.docs import DOCS, PAGES

ROOT = DOCS.parent
WRITTEN = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])

EVENT = re.compile(r"(service|dependency|health|config|git|hook|drift|plan|prune|record)\.[a-z-]+")
METRIC = re.compile(r"(service|weaver)_[a-z_]+")


def text_of(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_made_from_the_code_is_current(name: str, request: pytest.FixtureRequest) -> None:
    page = PAGES[name]()
    if request.config.getoption("--rewrite"):
        (DOCS / name).write_text(page, "utf-8")
    assert text_of(name) == page, "make docs"


def commands(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    """Give every command with its words."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name="weaver")
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{words} {name}")


def test_every_command_and_every_flag_is_documented() -> None:
    page = text_of("cli.md")
    for words, command in commands(root_command(), "weaver"):
        section = page.partition(f"### {words}\n")[2].partition("\n### ")[0]
        section = section if words != "weaver" else page
        flags = [
            flag
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.hidden
            for flag in parameter.opts
        ]
        assert section, words
        assert [flag for flag in flags if flag not in section] == [], words


def test_every_field_and_every_setting_has_a_section() -> None:
    page = text_of("manifest.md")
    wanted = [path for path in paths() if not path.startswith("defaults.")]
    assert [path for path in wanted if f"### `{path}`\n" not in page] == []


def test_every_fault_has_a_row() -> None:
    page = text_of("manifest.md")
    assert [code for code in Code if f"| `{code.value}` |" not in page] == []


def words_in(*folders: str) -> set[str]:
    """Give every text that stands in a module of some folders."""
    files = [file for folder in folders for file in (ROOT / "reconciler").glob(folder)]
    trees = [ast.parse(file.read_text("utf-8")) for file in files]
    constants = (
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)
    )
    return {node.value for node in constants if isinstance(node.value, str)}


def test_every_kind_of_event_has_a_row() -> None:
    kinds = {word for word in words_in("core/*.py", "runtime/*.py") if EVENT.fullmatch(word)}
    page = text_of("lifecycle.md")
    assert "service.crashed" in kinds
    assert sorted(kind for kind in kinds if f"| `{kind}` |" not in page) == []


def test_every_metric_has_a_row() -> None:
    names = {word for word in words_in("api/metrics*.py") if METRIC.fullmatch(word)}
    page = text_of("metrics.md")
    assert "service_up" in names
    assert sorted(name for name in names if f"| `{name}" not in page) == []


def anchors(page: str) -> set[str]:
    """Give the names by which GitHub links to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {*plain, *re.findall(r'<a id="([^"]+)"', page)}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text("utf-8")), target


def shown() -> list[object]:
    """Give every block of YAML in the documents that is a manifest or settings, with its name."""
    found: list[object] = []
    for page in WRITTEN:
        blocks = re.findall(
            r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        for number, block in enumerate(blocks):
            is_manifest = re.search(r"^name:.*^command:", block, re.MULTILINE | re.DOTALL)
            if is_manifest or re.match(r"(git|metrics|defaults):", block):
                found.append(pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}"))
    return found


@pytest.mark.parametrize("block", shown())
def test_what_the_documents_show_is_valid(block: str) -> None:
    assert faults(block) == ()


def faults(block: str) -> tuple[Diagnostic, ...]:
    """Check a manifest, or settings."""
    if re.search(r"^name:", block, re.MULTILINE):
        return check(parse("services.d/shown.yaml", block.encode())).diagnostics
    return check_config(parse(CONFIG_FILE, block.encode())).diagnostics


def test_a_broken_example_would_be_noticed() -> None:
    assert faults("name: web\ncomand: x\n") != ()
    assert faults("metrics:\n  lisen: x\n") != ()
