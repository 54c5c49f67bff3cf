"""What every test lives under: quiet logs, no skipping in CI, a way to see where one hangs.

A test that makes the program warn says so, with ``@pytest.mark.logs("a regular expression")`` or
by calling the fixture ``expect_log`` with one; any other record of WARNING or above fails it, and
so does an announced one that never came.  `sambas` hands out private Samba servers; a test that
mounts stands on `transport`, and runs once for each of them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests import samba as private
from tests.transports import MATRIX, transports_of
from tests.workers import ByModule, Stacks, rank

T = TypeVar("T", bound=pytest.TestReport | pytest.CollectReport)
Sambas = Callable[[Mapping[str, str]], private.Samba]

IS_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
STACKS = pytest.StashKey[Stacks]()
RUNNING = pytest.StashKey[list[private.Samba]]()  # for the ends of their logs, when a test fails

# A loaded machine is no failure, so nothing is timed.  In CI the examples are the same each time:
# what was submitted is judged, not the luck of the day; at a desk they are new ones.
settings.register_profile(
    "house", deadline=None, derandomize=IS_CI, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGUSR1 print where every thread is."""
    is_worker = hasattr(config, "workerinput")
    has_workers = not is_worker and bool(config.getoption("numprocesses", None))
    config.stash[RUNNING] = []
    config.stash[STACKS] = Stacks(has_workers=has_workers)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the signal back."""
    config.stash[STACKS].close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what the workers begin with, after pytest put together what shares a fixture."""
    items.sort(key=lambda item: rank(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    """Say which tests one worker takes together."""
    return ByModule(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that mounts once for every transport."""
    if "transport" in metafunc.fixturenames:
        transports = transports_of(metafunc.definition.nodeid)
        metafunc.parametrize("transport", transports, indirect=True, scope="session")


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


@pytest.fixture(scope="session", autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what daemons write of themselves from what this machine's own have written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMBFS_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.setenv("SMBFS_RUN_DIR", str(tmp_path_factory.mktemp("run")))
        yield


@pytest.fixture(scope="session")
def transport(request: pytest.FixtureRequest) -> Iterator[str]:
    """The way to the kernel by which this test mounts: one after the other.

    A fixture that keeps a mount for several tests must name it too, so as to end when it does.
    """
    if not os.path.exists("/dev/fuse"):
        pytest.skip("needs /dev/fuse")
    found = str(request.param)
    with MATRIX.by(found):
        yield found


@pytest.fixture(autouse=True)
def within_the_matrix(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets only tests that run for every transport mount anything."""
    if "transport" in request.fixturenames:
        yield
    else:
        with MATRIX.by(None):
            yield


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
