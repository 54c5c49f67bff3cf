"""What every test lives under: quiet logs, no skipping in CI, a way to see where one hangs.

A test that makes the program warn says so, with ``@pytest.mark.logs("a regular expression")`` or
by calling the fixture ``expect_log`` with one; any other record of WARNING or above fails it, and
so does an announced one that never came.  `sambas` hands out private Samba servers.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import re
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests import samba as private

T = TypeVar("T", bound=pytest.TestReport | pytest.CollectReport)
Sambas = Callable[[Mapping[str, str]], private.Samba]

IS_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
WHERE = pytest.StashKey[int]()  # the descriptor that a hanging run's stacks go to
RUNNING = pytest.StashKey[list[private.Samba]]()  # for the ends of their logs, when a test fails

# A loaded machine is no failure, so nothing is timed.  In CI the examples are the same each time:
# what was submitted is judged, not the luck of the day; at a desk they are new ones.
settings.register_profile(
    "house", deadline=None, derandomize=IS_CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGUSR1 print where every thread is, past pytest's capturing."""
    config.stash[RUNNING] = []
    config.stash[WHERE] = os.dup(2)
    faulthandler.register(signal.SIGUSR1, file=config.stash[WHERE], all_threads=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the signal and the descriptor back."""
    faulthandler.unregister(signal.SIGUSR1)
    os.close(config.stash[WHERE])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into a failure, in CI."""
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI; put the servers' logs under a failed test."""
    report = refuse_skip((yield))
    if report.failed:
        for server in item.config.stash[RUNNING]:
            report.sections.append((f"Samba on port {server.port}", server.logs()))
    return report


def refuse_skip(report: T, *, is_ci: bool = IS_CI) -> T:
    """The report, as a failure if it is a skip and this is CI, where every component is there."""
    if is_ci and report.skipped and not hasattr(report, "wasxfail"):
        where = report.longrepr
        reason = where[2] if isinstance(where, tuple) else str(where)
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped in CI: {reason}"
    return report


class Announced(logging.Handler):
    """Collects what is logged at WARNING and above, and knows what was announced."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self.patterns: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.records.append(record)

    def complaints(self) -> list[str]:
        """What was logged and not announced, and what was announced and not logged."""
        lines = [f"{one.levelname} {one.name}: {one.getMessage()}" for one in self.records]
        found = [
            f"not announced: {line}"
            for line in lines
            if not any(re.search(pattern, line) for pattern in self.patterns)
        ]
        return found + [
            f"never logged: {pattern}"
            for pattern in self.patterns
            if not any(re.search(pattern, line) for line in lines)
        ]


@pytest.fixture(autouse=True)
def announced(request: pytest.FixtureRequest) -> Iterator[Announced]:
    """Fails the test on any log record of WARNING or above that it did not announce."""
    handler = Announced()
    for marker in request.node.iter_markers("logs"):
        handler.patterns.extend(marker.args)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
    if complaints := handler.complaints():
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def expect_log(announced: Announced) -> Callable[[str], None]:
    """Announces, by regular expression, one kind of ``LEVEL logger: message`` to come."""
    return announced.patterns.append


@pytest.fixture(scope="session")
def sambas(pytestconfig: pytest.Config) -> Iterator[Sambas]:
    """A private Samba with these [global] settings: one server for each set of them, kept.

    A test that kills, freezes or fills its server makes one of its own: ``with Samba() as ...``.
    """
    if not private.is_installed():
        pytest.skip("needs smbd, pdbedit and smbclient: packaging/bootstrap installs them")
    with contextlib.ExitStack() as stack:
        servers: dict[frozenset[tuple[str, str]], private.Samba] = {}

        def with_settings(more: Mapping[str, str]) -> private.Samba:
            key = frozenset(more.items())
            if key not in servers:
                servers[key] = stack.enter_context(private.Samba(more))
                pytestconfig.stash[RUNNING].append(servers[key])
            return servers[key]

        yield with_settings
    pytestconfig.stash[RUNNING].clear()


@pytest.fixture(scope="session")
def samba(sambas: Sambas) -> private.Samba:
    """The private Samba as it comes, shared by all tests that leave it as it was."""
    return sambas({})


@pytest.fixture
def share(samba: private.Samba) -> Iterator[private.Place]:
    """The share named "share" of the common private Samba, empty before and after the test."""
    place = samba["share"]
    place.empty()
    yield place
    place.empty()
