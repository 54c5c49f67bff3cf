"""The mount command: as ``smbfs //server/share folder`` and as the helper of mount(8).

Finds the password while there is a terminal, goes to the background and says in one sentence what
went wrong.  Exit statuses are those of mount(8).  Easily broken: nothing secret reaches a child
process, the log or a message; and whatever happens in the background ends in a report.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NoReturn

import trio

import smbfs
from smbfs import mountpoint
from smbfs.auth import Login
from smbfs.cli.daemon import Background, Foreground, Report, background, leave, notify
from smbfs.cli.logs import open_log
from smbfs.cli.memory import collect_seldom, keep_freed
from smbfs.cli.words import USAGE_TEXT, Usage, Words, words_of
from smbfs.credentials import Asked, Credentials, CredentialsError, gather, hide
from smbfs.mount import Interrupted, MountFailed, run
from smbfs.options import LoginOptions, LogTarget, MountOptions, OptionError, parse

log = logging.getLogger(__name__)

OK, USAGE, INTERNAL, INTERRUPTED, FILE_IO, FAILED = 0, 1, 4, 8, 16, 32
STOPPING = "STOPPING=1"


@dataclass(frozen=True, slots=True)
class Task:
    """One mount to be made."""

    options: MountOptions
    where: str
    credentials: Credentials
    log: LogTarget


def main(arguments: Sequence[str], *, is_helper: bool) -> int:
    """Mount; returns the exit status."""
    try:
        words = words_of(arguments, is_helper=is_helper)
        if words.shows:
            text = USAGE_TEXT if words.shows == "help" else f"smbfs {smbfs.__version__}\n"
            sys.stdout.write(text)
            return OK
        return _mount(words)
    except Usage as error:
        return say(str(error), USAGE)
    except (OptionError, CredentialsError) as error:
        return say(str(error), error.exit_status)
    except OSError as error:
        return say(error.strerror or str(error), FAILED)
    except KeyboardInterrupt:
        return say("interrupted; nothing is mounted", INTERRUPTED)


def say(sentence: str, status: int, *, kind: str = "") -> int:
    """Tell the user one sentence; hands the exit status through."""
    sentence = sentence[:1].upper() + sentence[1:]
    end = "" if sentence.endswith((".", "?", "!")) else "."
    sys.stderr.write(f"smbfs: {kind}{sentence}{end}\n")
    return status


def _mount(words: Words) -> int:
    options = parse(
        words.service,
        words.options,
        sloppy=words.is_sloppy,
        others_allowed=mountpoint.others_allowed(),
    )
    hide()  # a password among the options is not for everybody who runs ps
    where = mountpoint.check(words.mountpoint)
    asked = Asked(
        what=str(options.service), insecure=options.daemon.insecure, **_fields(options.login)
    )
    task = Task(options, where, gather(asked), _log_target(options, words))
    _warn(task)
    if words.is_fake:
        return OK
    if words.is_foreground or options.daemon.foreground:
        report = serve(task, Foreground())
    else:
        child = background()
        report = child if isinstance(child, Report) else _as_child(task, child)
    if report.sentence:
        say(report.sentence, report.status)
    elif words.is_verbose and report.status == OK:
        sys.stdout.write(f"{options.service} is mounted on {where}\n")
    return report.status


def _fields(login: LoginOptions) -> dict[str, Any]:
    return {one.name: getattr(login, one.name) for one in fields(login)}


def _warn(task: Task) -> None:
    """Tell the person in front of the terminal what the log would tell nobody."""
    notes = [note.text for note in task.options.notes if note.level >= logging.WARNING]
    for text in (*notes, *task.credentials.warnings):
        say(text, OK, kind="warning: ")


def _as_child(task: Task, child: Background) -> NoReturn:
    report = serve(task, child)
    child.failed(report.status, report.sentence)
    leave(report.status)


def _log_target(options: MountOptions, words: Words) -> LogTarget:
    """What to log and where, in words that hold after the change to another folder."""
    level, file = options.daemon.log.level, options.daemon.log.file
    if words.is_verbose and level != "debug":
        level = "info"
    return LogTarget(level, os.path.abspath(file) if file else "")


def serve(task: Task, reports: Background | Foreground) -> Report:
    """Mount and serve until the end; whatever it is, it becomes a report."""
    try:
        open_log(task.log, to_terminal=isinstance(reports, Foreground))
    except OSError as error:
        return Report(FILE_IO, f"cannot write the log to {task.log.file}: {error.strerror}")
    for note in task.options.notes:
        log.log(note.level, "%s", note.text)
    for warning in task.credentials.warnings:
        log.warning("%s", warning)

    def ready() -> None:
        reports.ready()
        notify("READY=1")

    def logins() -> Sequence[Login]:
        return task.credentials.logins

    keep_freed()
    collect_seldom()
    try:
        trio.run(partial(run, task.options, task.where, logins, ready, partial(notify, STOPPING)))
    except MountFailed as error:
        if task.options.daemon.no_fail and error.is_unreachable:
            log.warning("%s", error)
            return Report(OK, f"{error}; `nofail`: going on without it")
        return Report(FAILED, str(error))
    except Interrupted as error:
        return Report(INTERRUPTED, str(error))
    except BaseException as error:  # also what no program should see, such as SystemExit
        log.critical("bug: smbfs ends", exc_info=error)
        kind = type(error).__name__
        return Report(INTERNAL, f"internal error, please report it ({kind}: {error})")
    return Report(OK)
