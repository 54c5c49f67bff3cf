"""The fake server's table of commands: from a request's body to an answer's.

Each function is given the request and answers (status, body) or fails with `Fail`; one that has
to wait raises `Parked` and is finished later.
"""

from __future__ import annotations

from collections.abc import Callable

from smbfs.wire.codec import WireError
from smbfs.wire.constants import Access, CloseFlags, InfoType, ShareFlags
from smbfs.wire.file_messages import (
    CloseRequest,
    CloseResponse,
    FlushRequest,
    FlushResponse,
    ReadRequest,
    ReadResponse,
    WriteRequest,
    WriteResponse,
)
from smbfs.wire.header import Command
from smbfs.wire.messages import (
    EchoResponse,
    LeaseBreakResponse,
    LogoffResponse,
    OplockBreakAcknowledgment,
    OplockBreakResponse,
    TreeConnectRequest,
    TreeConnectResponse,
    TreeDisconnectResponse,
    break_acknowledgment,
)
from smbfs.wire.query_messages import (
    ChangeNotifyRequest,
    QueryDirectoryRequest,
    QueryDirectoryResponse,
    QueryInfoRequest,
    QueryInfoResponse,
    SetInfoRequest,
    SetInfoResponse,
)
from smbfs.wire.status import Status
from smbfs.wire.units import text
from tests.fake import opens
from tests.fake.controls import ioctl
from tests.fake.creates import create
from tests.fake.locking import lock
from tests.fake.messages import Parked, Request, Result, done
from tests.fake.queries import list_page, query
from tests.fake.settings import SETTERS
from tests.fake.tree import Fail

# Session and tree


def _logoff(request: Request) -> Result:
    request.wire.server.forget_session(request.header.session_id)
    return done(LogoffResponse())


def _tree_connect(request: Request) -> Result:
    server, session = request.wire.server, request.session
    name = text(request.parse(TreeConnectRequest).path).rpartition("\\")[2]
    volume = server.volumes.get(name.casefold())
    if volume is None:
        raise Fail(Status.BAD_NETWORK_NAME)
    if name.casefold() in server.denied:
        raise Fail(Status.ACCESS_DENIED)
    assert session is not None
    if volume.encrypt and session.sealer is None:
        raise Fail(Status.ACCESS_DENIED)
    request.header.tree_id = next(server.tree_ids)
    request.wire.trees[request.header.tree_id] = volume
    flags = volume.flags | (ShareFlags.ENCRYPT_DATA if volume.encrypt else 0)
    return done(
        TreeConnectResponse(
            share_type=volume.share_type,
            share_flags=flags,
            maximal_access=opens.rights(volume),
        )
    )


def _tree_disconnect(request: Request) -> Result:
    assert request.share
    del request.wire.trees[request.header.tree_id]
    for open_ in request.wire.server.open_handles:
        if open_.tree_id == request.header.tree_id:
            request.wire.server.close(open_)
    return done(TreeDisconnectResponse())


# Files


def _close(request: Request) -> Result:
    body = request.parse(CloseRequest)
    open_ = request.opened(body.file_id)
    request.wire.server.close(open_)
    if not body.flags & CloseFlags.POSTQUERY_ATTRIB:
        return done(CloseResponse())
    node = open_.node
    return done(
        CloseResponse(
            flags=CloseFlags.POSTQUERY_ATTRIB,
            creation_time=node.creation_time,
            last_access_time=node.last_access_time,
            last_write_time=node.last_write_time,
            change_time=node.change_time,
            allocation_size=node.allocation,
            end_of_file=node.size,
            file_attributes=node.shown_attributes,
        )
    )


# Data


def _read(request: Request) -> Result:
    body = request.parse(ReadRequest)
    if body.length > request.wire.limits.max_read_size:
        raise Fail(Status.INVALID_PARAMETER)
    request.pays(body.length)
    data = opens.read(request.opened(body.file_id), body.offset, body.length)
    if len(data) < body.minimum_count:
        raise Fail(Status.END_OF_FILE)
    return done(ReadResponse(data=data))


def _write(request: Request) -> Result:
    body = request.parse(WriteRequest)
    if body.length > request.wire.limits.max_write_size:
        raise Fail(Status.INVALID_PARAMETER)
    request.pays(body.length)
    return done(
        WriteResponse(
            count=opens.write(request.opened(body.file_id), body.offset, bytes(body.data))
        )
    )


def _flush(request: Request) -> Result:
    open_ = request.opened(request.parse(FlushRequest).file_id)
    open_.need_any(Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA)
    request.wire.server.flushed += 1
    return done(FlushResponse())


# Questions


def _query_info(request: Request) -> Result:
    body = request.parse(QueryInfoRequest)
    request.pays(body.output_buffer_length)
    if body.output_buffer_length > request.wire.limits.max_transact_size:
        raise Fail(Status.INVALID_PARAMETER)
    status, data = query(request.opened(body.file_id), body)
    return status, bytes(QueryInfoResponse(output_buffer=data))


def _set_info(request: Request) -> Result:
    body = request.parse(SetInfoRequest)
    open_ = request.opened(body.file_id)
    if body.info_type != InfoType.FILE:
        raise Fail(Status.NOT_SUPPORTED)
    setter = SETTERS.get(body.file_info_class)
    if setter is None:
        raise Fail(Status.INVALID_INFO_CLASS)
    try:
        setter(open_, memoryview(body.buffer))
    except WireError:
        raise Fail(Status.INFO_LENGTH_MISMATCH) from None
    return done(SetInfoResponse())


def _query_directory(request: Request) -> Result:
    body = request.parse(QueryDirectoryRequest)
    if body.output_buffer_length > request.wire.limits.max_transact_size:
        raise Fail(Status.INVALID_PARAMETER)
    request.pays(body.output_buffer_length)
    page = list_page(request.opened(body.file_id), body)
    return done(QueryDirectoryResponse(output_buffer=page))


def _change_notify(request: Request) -> Result:
    request.opened(request.parse(ChangeNotifyRequest).file_id)
    raise Parked


# The rest


def _echo(request: Request) -> Result:
    return done(EchoResponse())


def _break(request: Request) -> Result:
    body = break_acknowledgment(request.view)
    if isinstance(body, OplockBreakAcknowledgment):
        request.opened(body.file_id).oplock = body.oplock_level
        return done(OplockBreakResponse(oplock_level=body.oplock_level, file_id=body.file_id))
    request.wire.server.acknowledged.append(body.lease_key)
    return done(LeaseBreakResponse(lease_key=body.lease_key, lease_state=body.lease_state))


COMMANDS: dict[Command, Callable[[Request], Result]] = {
    Command.LOGOFF: _logoff,
    Command.TREE_CONNECT: _tree_connect,
    Command.TREE_DISCONNECT: _tree_disconnect,
    Command.CREATE: create,
    Command.CLOSE: _close,
    Command.FLUSH: _flush,
    Command.READ: _read,
    Command.WRITE: _write,
    Command.LOCK: lock,
    Command.IOCTL: ioctl,
    Command.ECHO: _echo,
    Command.QUERY_DIRECTORY: _query_directory,
    Command.CHANGE_NOTIFY: _change_notify,
    Command.QUERY_INFO: _query_info,
    Command.SET_INFO: _set_info,
    Command.OPLOCK_BREAK: _break,
}
