"""Where the log goes: a file if ``log=`` names one, else the terminal or the system's journal.

Easily broken: a daemon without a journal has nobody to talk to, and its standard error is the
terminal of somebody who does something else by now.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import stat
import sys

from smbfs.options import LogTarget

LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
JOURNAL = "/dev/log"
FORMAT = "%(asctime)s %(levelname)s %(message)s"


def open_log(target: LogTarget, *, to_terminal: bool) -> None:
    """Send the log where it belongs, in place of where it went; raises OSError."""
    handler = _handler(target, to_terminal)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[target.level])
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a full disk is no reason to write to a lost terminal


def _handler(target: LogTarget, to_terminal: bool) -> logging.Handler:
    if target.file or to_terminal:
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
        if target.file:
            handler = logging.FileHandler(target.file, errors="surrogateescape")
        handler.setFormatter(logging.Formatter(FORMAT))
        return handler
    if not _is_socket(JOURNAL):
        return logging.NullHandler()
    journal = logging.handlers.SysLogHandler(JOURNAL, logging.handlers.SysLogHandler.LOG_DAEMON)
    journal.ident = f"smbfs[{os.getpid()}]: "
    return journal


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
