"""What holds for every test: no surroundings leak in, and CI skips nothing."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Generator, Iterator

import hypothesis
import psutil
import pytest

from tests.covered import COVERED, Tell
from tests.waiting import until

ORDINARY_S = 120.0
"""What pyproject.toml gives a test; whoever needs longer begins first, so that nobody waits for it
at the end while other cores have nothing left to do."""

# Who is started in the background may be told to ignore Ctrl-C; programs that tests start are not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Machines differ in speed and examples in size, so no single example has a deadline; every test
# has one. A failure prints the line that replays it.
# CI tries the same examples for the same source: what it refuses, it refuses again.
hypothesis.settings.register_profile(
    "weaver", deadline=None, print_blob=True, derandomize="CI" in os.environ
)
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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; the rest stays in the random order that it was given."""
    items.sort(key=lambda item: -_seconds_of(item))


def _seconds_of(item: pytest.Item) -> float:
    """Give how long a test may take."""
    found = item.get_closest_marker("timeout")
    return max(float(found.args[0]), ORDINARY_S) if found else ORDINARY_S


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Give what takes a sentence for the closing lines of the run.

    It travels with the report of the test, whichever process that runs in.
    """
    return functools.partial(record_property, COVERED)


@pytest.fixture(scope="session", autouse=True)
def nobody_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """See that no daemon and no holder outlives the tests that started it."""
    yield
    folder = str(tmp_path_factory.getbasetemp())
    until(lambda: not _programs_of(folder), message=f"the end of what runs in {folder}")


def _programs_of(folder: str) -> list[int]:
    """Find our programs that run for a folder or one beneath it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any("reconciler" in word for word in words) and any(folder in word for word in words):
            found.append(process.pid)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the simulator went through, and what else is worth a line."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call":
                for name, sentence in report.user_properties:
                    if name == COVERED:
                        terminalreporter.write_line(str(sentence))


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
