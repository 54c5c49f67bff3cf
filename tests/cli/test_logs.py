"""The log goes to a file, the terminal, the journal or nowhere; never to a lost terminal."""

from __future__ import annotations

import logging
import logging.handlers
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from smbfs.cli import logs
from smbfs.options import LogTarget

log = logging.getLogger("smbfs.test")


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.captureWarnings(False)
    logging.raiseExceptions = True


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "log"
    logs.open_log(LogTarget("info", str(file)), to_terminal=True)
    log.info("shown")
    log.debug("hidden")
    assert "INFO shown" in file.read_text()
    assert "hidden" not in file.read_text()


def test_what_python_warns_of_is_logged(tmp_path: Path) -> None:
    file = tmp_path / "log"
    logs.open_log(LogTarget("warn", str(file)), to_terminal=False)
    warnings.showwarning("look out", UserWarning, "file", 1)
    assert "look out" in file.read_text()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        logs.open_log(LogTarget("info", str(tmp_path / "no" / "log")), to_terminal=False)


def test_the_terminal(capsys: pytest.CaptureFixture[str], root: logging.Logger) -> None:
    logs.open_log(LogTarget("debug"), to_terminal=True)
    [handler] = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
    log.debug("shown")
    assert "DEBUG shown" in capsys.readouterr().err


def test_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "log"))
        monkeypatch.setattr(logs, "JOURNAL", str(tmp_path / "log"))
        logs.open_log(LogTarget("info"), to_terminal=False)
        log.info("shown")
        line = journal.recv(1000)
    assert line.startswith(b"<30>smbfs[")  # daemon, info
    assert b"]: shown" in line


@pytest.mark.parametrize("name", ["none", "file"])
def test_without_a_journal_there_is_nobody_to_tell(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: logging.Logger
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(logs, "JOURNAL", str(tmp_path / name))
    logs.open_log(LogTarget("info"), to_terminal=False)
    assert [type(handler) for handler in root.handlers] == [logging.NullHandler]


def test_every_level_has_a_number() -> None:
    assert set(logs.LEVELS) == {"error", "warn", "info", "debug"}
