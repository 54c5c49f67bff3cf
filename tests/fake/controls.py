"""IOCTL on the fake server: what is about blocks is in `space`, the rest is here."""

from __future__ import annotations

from collections.abc import Callable

from smbfs.wire.constants import Access, Fsctl
from smbfs.wire.file_messages import IoctlRequest, IoctlResponse
from smbfs.wire.fsctl import ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse
from smbfs.wire.reparse import ReparseTag, parse_reparse
from smbfs.wire.status import Status
from tests.fake.messages import Request, Result
from tests.fake.space import SPACE
from tests.fake.tree import Fail, Open


def ioctl(request: Request) -> Result:
    body = request.parse(IoctlRequest)
    request.pays(max(len(body.input), body.max_output_response))
    status = Status.SUCCESS
    if body.ctl_code == Fsctl.VALIDATE_NEGOTIATE_INFO:
        output = _validated(request, body)
    elif (about_space := SPACE.get(body.ctl_code)) is not None:
        open_ = request.opened(body.file_id)
        if (refusal := open_.volume.abilities.refused.get(body.ctl_code)) is not None:
            raise Fail(refusal)
        status, output = about_space(request, open_, body)
    elif (control := CONTROLS.get(body.ctl_code)) is not None:
        open_ = request.opened(body.file_id)
        output = control(open_, bytes(body.input))
    else:
        request.opened(body.file_id)
        raise Fail(Status.NOT_SUPPORTED)
    if len(output) > body.max_output_response:
        raise Fail(Status.BUFFER_TOO_SMALL)
    answer = IoctlResponse(ctl_code=body.ctl_code, file_id=body.file_id, output=output)
    return status, bytes(answer)


def _validated(request: Request, body: IoctlRequest) -> bytes:
    greeting, nature = request.wire.greeting, request.wire.server.nature
    if not nature.validates:
        raise Fail(Status.FILE_CLOSED)
    assert greeting is not None
    asked = ValidateNegotiateInfoRequest.parse(memoryview(body.input), 0)
    heard = greeting.request
    said = (asked.guid, asked.capabilities, asked.security_mode, bytes(asked.dialects))
    if said != (
        heard.client_guid,
        heard.capabilities,
        heard.security_mode,
        bytes(heard.dialects),
    ):
        request.wire.hang_up()
    return bytes(
        ValidateNegotiateInfoResponse(
            capabilities=greeting.capabilities,
            guid=nature.guid,
            security_mode=nature.security_mode,
            dialect=greeting.dialect,
        )
    )


def _get_reparse(open_: Open, data: bytes) -> bytes:
    if not open_.node.reparse:
        raise Fail(Status.NOT_A_REPARSE_POINT)
    return open_.node.reparse


def _set_reparse(open_: Open, data: bytes) -> bytes:
    if not open_.volume.reparse:
        raise Fail(Status.NOT_A_REPARSE_POINT)  # so says Samba
    open_.need_any(Access.FILE_WRITE_DATA | Access.FILE_WRITE_ATTRIBUTES)
    node = open_.node
    if node.children:
        raise Fail(Status.DIRECTORY_NOT_EMPTY)
    if len(data) < 8 or int.from_bytes(data[4:6], "little") != len(data) - 8:
        raise Fail(Status.IO_REPARSE_DATA_INVALID)
    if int.from_bytes(data[:4], "little") == ReparseTag.SYMLINK:
        parse_reparse(memoryview(data))
    node.reparse = data
    return b""


def _delete_reparse(open_: Open, data: bytes) -> bytes:
    _get_reparse(open_, data)
    open_.node.reparse = b""
    return b""


CONTROLS: dict[int, Callable[[Open, bytes], bytes]] = {
    Fsctl.GET_REPARSE_POINT: _get_reparse,
    Fsctl.SET_REPARSE_POINT: _set_reparse,
    Fsctl.DELETE_REPARSE_POINT: _delete_reparse,
}
