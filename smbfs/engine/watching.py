"""Watching a directory for changes of its names.

Pure, and a step as in `smbfs.engine.steps`.  Easily broken: the server may tell that something has
changed without saying what; to take that for nothing would be to believe names that are gone.
"""

from __future__ import annotations

from typing import NamedTuple

from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.steps import Step, Where, at_most
from smbfs.wire.directory import FileNotifyInformation, directory_entries
from smbfs.wire.query_messages import ChangeNotifyRequest, ChangeNotifyResponse
from smbfs.wire.status import Status
from smbfs.wire.units import text

NOTIFIED = frozenset({Status.SUCCESS, Status.NOTIFY_ENUM_DIR})


class NameChange(NamedTuple):
    """A name of a directory that has changed, in wire form, and how ([MS-FSCC] 2.7.1)."""

    name: str
    action: int


def change_notify(size: int, completion_filter: int) -> Step[list[NameChange] | None]:
    """Wait for changes in a directory; None if all may have changed ([MS-SMB2] 2.2.35).

    It may wait for ever, so it goes out by itself.  The server counts from the first one on: what
    happens before the next is asked is told by that.
    """

    def ask(where: Where) -> Ask:
        body = ChangeNotifyRequest(
            output_buffer_length=size, file_id=where.file_id, completion_filter=completion_filter
        )
        return Ask(body, receives=size, answers=NOTIFIED, patient=True)

    def result(reply: Reply, where: Where) -> list[NameChange] | None:
        if reply.status != Status.SUCCESS:
            return None
        output = memoryview(reply.parse(ChangeNotifyResponse).output_buffer)
        changes = directory_entries(at_most(output, size), FileNotifyInformation)
        return [NameChange(text(one.file_name), one.action) for one in changes] or None

    return Step(ask, result)
