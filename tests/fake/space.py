"""Holes, room, copies and compression on the fake server: control codes about a file's blocks.

Knows what [MS-FSA] and [MS-SMB2] 3.3.5.15 say of them, with Samba's answers where servers differ.
What a share can do of it is its `tree.Abilities`, which a test may change at any time.
"""

from __future__ import annotations

from collections.abc import Callable

from smbfs.wire.constants import Access, Attributes, Fsctl
from smbfs.wire.file_messages import IoctlRequest
from smbfs.wire.fsctl import (
    DuplicateExtentsData,
    FileAllocatedRangeBuffer,
    FileSetSparseBuffer,
    FileZeroDataInformation,
    SrvCopychunk,
    SrvCopychunkCopy,
    SrvCopychunkResponse,
    SrvRequestResumeKeyResponse,
)
from smbfs.wire.status import Status
from tests.fake import opens
from tests.fake.messages import Request
from tests.fake.tree import UNIT, Fail, Node, Open

CHANGES = Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA | Access.FILE_WRITE_ATTRIBUTES
Output = tuple[Status, bytes]


def _resume_key(request: Request, open_: Open, body: IoctlRequest) -> Output:
    key = open_.file_id + bytes(8)
    return Status.SUCCESS, bytes(SrvRequestResumeKeyResponse(resume_key=key)) + bytes(4)


def _copy(request: Request, open_: Open, body: IoctlRequest) -> Output:
    asked = SrvCopychunkCopy.parse(memoryview(body.input), 0)
    can = open_.volume.abilities
    chunks = [
        SrvCopychunk.parse(memoryview(asked.chunks), at) for at in range(0, len(asked.chunks), 24)
    ]
    if (
        len(chunks) > can.chunks
        or any(not 0 < one.length <= can.chunk_size for one in chunks)
        or sum(one.length for one in chunks) > can.copy_size
    ):
        limits = SrvCopychunkResponse(
            chunks_written=can.chunks,
            chunk_bytes_written=can.chunk_size,
            total_bytes_written=can.copy_size,
        )
        return Status.INVALID_PARAMETER, bytes(limits)
    source = _source(request, asked.source_key[:16])
    source.need(Access.FILE_READ_DATA)
    open_.need_any(Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA)
    if body.ctl_code == Fsctl.SRV_COPYCHUNK:
        open_.need(Access.FILE_READ_DATA)
    chunks = [] if can.takes_none else chunks
    for one in chunks:
        if one.source_offset + one.length > source.node.size:
            raise Fail(Status.INVALID_VIEW_SIZE)
        opens.write(open_, one.target_offset, opens.read(source, one.source_offset, one.length))
    total = sum(one.length for one in chunks)
    written = SrvCopychunkResponse(
        chunks_written=len(chunks), chunk_bytes_written=0, total_bytes_written=total
    )
    return Status.SUCCESS, bytes(written)


def _source(request: Request, file_id: bytes) -> Open:
    source = request.wire.server.opens.get(file_id)
    if source is None or source.session_id != request.header.session_id:
        raise Fail(Status.OBJECT_NAME_NOT_FOUND)
    return source


def _duplicate(request: Request, open_: Open, body: IoctlRequest) -> Output:
    if not open_.volume.abilities.clones:
        raise Fail(Status.INVALID_DEVICE_REQUEST)
    asked = DuplicateExtentsData.parse(memoryview(body.input), 0)
    source = _source(request, asked.source_file_id)
    source.need(Access.FILE_READ_DATA)
    open_.need(Access.FILE_WRITE_DATA)
    start, target, size = asked.source_file_offset, asked.target_file_offset, asked.byte_count
    if start % UNIT or target % UNIT or size % UNIT:
        raise Fail(Status.INVALID_PARAMETER)
    if start + size > source.node.size or target + size > open_.node.size:
        raise Fail(Status.NOT_SUPPORTED)  # [MS-FSA] 2.1.5.10.4
    opens.write(open_, target, opens.read(source, start, size))
    return Status.SUCCESS, b""


def _set_sparse(request: Request, open_: Open, body: IoctlRequest) -> Output:
    open_.need_any(CHANGES)
    node = open_.node
    if not body.input or FileSetSparseBuffer.parse(memoryview(body.input), 0).set_sparse:
        node.attributes |= Attributes.SPARSE_FILE
    else:
        node.attributes &= ~Attributes.SPARSE_FILE
        node.holes.clear()
    return Status.SUCCESS, b""


def _zero(request: Request, open_: Open, body: IoctlRequest) -> Output:
    open_.need_any(Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA)
    asked = FileZeroDataInformation.parse(memoryview(body.input), 0)
    node = open_.node
    if asked.file_offset > asked.beyond_final_zero:
        raise Fail(Status.INVALID_PARAMETER)
    opens.not_locked(open_, asked.file_offset, asked.beyond_final_zero, for_writing=True)
    start, end = min(asked.file_offset, node.size), min(asked.beyond_final_zero, node.size)
    node.data[start:end] = bytes(end - start)
    if node.attributes & Attributes.SPARSE_FILE:
        is_tail = end == node.size  # nothing else is in its last unit
        node.holes.update(range(-(-start // UNIT), -(-end // UNIT) if is_tail else end // UNIT))
    open_.volume.touch(node, frozen=open_.frozen)
    return Status.SUCCESS, b""


def _ranges(request: Request, open_: Open, body: IoctlRequest) -> Output:
    open_.need(Access.FILE_READ_DATA)
    asked = FileAllocatedRangeBuffer.parse(memoryview(body.input), 0)
    end = min(asked.file_offset + asked.length, open_.node.size)
    found = [
        bytes(FileAllocatedRangeBuffer(file_offset=low, length=high - low))
        for low, high in spans(open_.node, asked.file_offset, end)
    ]
    can = open_.volume.abilities
    fits = min(body.max_output_response // FileAllocatedRangeBuffer.FIXED, can.ranges)
    if fits < len(found) and not can.tells_some:
        raise Fail(Status.BUFFER_TOO_SMALL)
    status = Status.BUFFER_OVERFLOW if fits < len(found) else Status.SUCCESS
    return status, b"".join(found[:fits])


def spans(node: Node, start: int, end: int) -> list[tuple[int, int]]:
    """The parts of a range that are no holes."""
    found: list[tuple[int, int]] = []
    for unit in range(start // UNIT, -(-end // UNIT)):
        low, high = max(unit * UNIT, start), min((unit + 1) * UNIT, end)
        if unit in node.holes:
            continue
        if found and found[-1][1] == low:
            low = found.pop()[0]
        found.append((low, high))
    return found


def _compress(request: Request, open_: Open, body: IoctlRequest) -> Output:
    open_.need(Access.FILE_WRITE_DATA)
    kind = int.from_bytes(body.input[:2], "little")
    if kind and not open_.volume.abilities.compresses:
        raise Fail(Status.NOT_SUPPORTED)
    open_.node.attributes &= ~Attributes.COMPRESSED
    open_.node.attributes |= Attributes.COMPRESSED if kind else 0
    return Status.SUCCESS, b""


SPACE: dict[int, Callable[[Request, Open, IoctlRequest], Output]] = {
    Fsctl.SRV_REQUEST_RESUME_KEY: _resume_key,
    Fsctl.SRV_COPYCHUNK: _copy,
    Fsctl.SRV_COPYCHUNK_WRITE: _copy,
    Fsctl.DUPLICATE_EXTENTS_TO_FILE: _duplicate,
    Fsctl.SET_SPARSE: _set_sparse,
    Fsctl.SET_ZERO_DATA: _zero,
    Fsctl.QUERY_ALLOCATED_RANGES: _ranges,
    Fsctl.SET_COMPRESSION: _compress,
}
