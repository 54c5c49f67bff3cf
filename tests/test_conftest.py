"""The rules every test lives under, tried on tests that break them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.conftest import Announced, refuse_skip

log = logging.getLogger("smbfs.of.a.test")


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "smbfs", "levelname": "WARNING", "msg": text})


def test_a_record_nobody_announced_is_a_complaint() -> None:
    handler = Announced()
    handler.emit(record("the server is gone"))
    assert handler.complaints() == ["not announced: WARNING smbfs: the server is gone"]


def test_an_announced_record_that_never_came_is_a_complaint() -> None:
    handler = Announced()
    handler.patterns.append("is gone")
    assert handler.complaints() == ["never logged: is gone"]


def test_an_announced_record_is_none() -> None:
    handler = Announced()
    handler.patterns.append("^WARNING smbfs: .* gone$")
    handler.emit(record("the server is gone"))
    assert handler.complaints() == []


@pytest.mark.logs("not quite")
def test_announced_by_mark() -> None:
    log.warning("this is not quite right")


def test_announced_by_fixture(expect_log: Callable[[str], None]) -> None:
    expect_log("^ERROR .* went wrong")
    log.error("something went wrong")


def test_only_warnings_count(announced: Announced) -> None:
    log.info("connected")
    assert announced.records == []


def skipped() -> pytest.CollectReport:
    return pytest.CollectReport("here", "skipped", ("file", 1, "Skipped: no kernel"), [])


def test_a_skip_fails_in_ci() -> None:
    report = refuse_skip(skipped(), is_ci=True)
    assert report.failed
    assert report.longrepr == "nothing may be skipped in CI: Skipped: no kernel"


def test_a_skip_is_a_skip_at_a_desk() -> None:
    assert refuse_skip(skipped(), is_ci=False).skipped
