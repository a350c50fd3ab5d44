"""What holds for every test: no surroundings leak in, and CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Generator

import hypothesis
import pytest

from tests.sim.covered import COVERED

# Machines differ in speed and examples in size, so no single example has a deadline; every test
# has one. A failure prints the line that replays it.
hypothesis.settings.register_profile("weaver", deadline=None, print_blob=True)
hypothesis.settings.load_profile("weaver")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let transcripts be written anew: what was really printed, for a person to review."""
    parser.addoption("--rewrite", action="store_true", help="rewrite the transcripts")


def pytest_configure() -> None:
    """Keep the developer's git settings and running daemons out of the tests."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "WEAVER_"))]:
        del os.environ[name]
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    os.environ["GIT_CONFIG_NOSYSTEM"] = "1"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much the simulator went through."""
    for sentence in config.stash.get(COVERED, []):
        terminalreporter.write_line(sentence)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what was skipped when `CI` is set: there, every outside program is installed."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped in CI: {report.longrepr}"
    return report
