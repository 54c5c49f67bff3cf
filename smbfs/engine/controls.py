"""Copies, holes, room and compression: what can be done to an open file besides its bytes.

Pure, and steps as in `smbfs.engine.steps`: most are control codes ([MS-SMB2] 2.2.31), one is an
information class.  Servers lack many of them; who asks says what he does without.

Easily broken: a copy that asks too much of a server is answered with INVALID_PARAMETER *and* its
limits, without which that status is an ordinary error; an allocation below the size of the file
cuts the file; and what no range covers is a hole only as far as ranges were told.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final, NamedTuple

from smbfs.engine.exchange import FINAL_ONLY, Ask, Reply
from smbfs.engine.steps import QUERIED, SMALL, Step, Where, ioctl
from smbfs.errors import StatusError
from smbfs.wire.codec import Blob, WireError
from smbfs.wire.constants import Fsctl, InfoType
from smbfs.wire.file_messages import IoctlRequest, IoctlResponse
from smbfs.wire.fscc import FileAllocationInformation
from smbfs.wire.fsctl import (
    DuplicateExtentsData,
    FileAllocatedRangeBuffer,
    FileSetSparseBuffer,
    FileZeroDataInformation,
    SrvCopychunkCopy,
    SrvCopychunkResponse,
    SrvRequestResumeKeyResponse,
    allocated_ranges,
    pack_chunks,
)
from smbfs.wire.header import Command
from smbfs.wire.query_messages import SetInfoRequest
from smbfs.wire.status import Status

Chunk = tuple[int, int, int]  # source offset, target offset, length
Range = tuple[int, int]  # start, end

KEY_SIZE = 32  # a resume key and the length of a context, of which some servers send 4 bytes
COMPRESSION = 2  # COMPRESSION_FORMAT_LZNT1; DEFAULT (1) means the same ([MS-FSCC] 2.3.67)
WITH_LIMITS = FINAL_ONLY | {Status.INVALID_PARAMETER}
# What a wish may be answered with that is as good as a yes, because nothing hangs on it.
HARMLESS = frozenset(
    {
        Status.SUCCESS,
        Status.ACCESS_DENIED,
        Status.INVALID_PARAMETER,
        *(status for status in Status if status.errno == errno.EOPNOTSUPP),
    }
)


class Limits(NamedTuple):
    """How much a server copies at one request; sizes are bytes."""

    chunks: int
    chunk_size: int
    total_size: int


USUAL: Final = Limits(16, 1 << 20, 16 << 20)  # what Windows takes


class Ranges(NamedTuple):
    """The parts of a file that are no holes, in order; ``has_more`` if not all could be told.

    Nothing is known then of what is behind the last one.
    """

    spans: list[Range]
    has_more: bool


# Copying


def resume_key() -> Step[bytes]:
    """Ask for the key by which this file is named as the source of a copy ([MS-SMB2] 3.3.5.15.5).

    It holds as long as the handle.
    """
    step = ioctl(Fsctl.SRV_REQUEST_RESUME_KEY, b"", KEY_SIZE, answers=FINAL_ONLY)

    def result(reply: Reply, where: Where) -> bytes:
        answer = SrvRequestResumeKeyResponse.parse(memoryview(step.result(reply, where)), 0)
        return bytes(answer.resume_key)

    return Step(step.ask, result)


def copy_chunks(
    key: bytes, chunks: Sequence[Chunk], *, reads_back: bool = False
) -> Step[int | Limits]:
    """Copy into this file on the server; the answer is how many bytes, or what it takes at most.

    ``reads_back`` asks with the control code that needs the right to read here as well, which is
    all that some servers have ([MS-SMB2] 3.3.5.15.6).
    """
    code = Fsctl.SRV_COPYCHUNK if reads_back else Fsctl.SRV_COPYCHUNK_WRITE
    data = bytes(SrvCopychunkCopy(source_key=key, chunks=pack_chunks(chunks)))
    wanted = sum(length for _, _, length in chunks)
    step = ioctl(code, data, SrvCopychunkResponse.FIXED, answers=WITH_LIMITS)

    def result(reply: Reply, where: Where) -> int | Limits:
        if reply.status == Status.INVALID_PARAMETER:
            return _limits(reply)
        answer = SrvCopychunkResponse.parse(memoryview(step.result(reply, where)), 0)
        if answer.total_bytes_written > wanted:
            raise WireError(f"{answer.total_bytes_written} bytes copied of {wanted}")
        return answer.total_bytes_written

    return Step(step.ask, result)


def _limits(reply: Reply) -> Limits:
    """Read what came with INVALID_PARAMETER.

    Raises StatusError if that was no limits, or if anybody may have sent them.
    """
    if reply.is_hint:
        raise StatusError(reply.status, Command.IOCTL.name)
    try:
        output = memoryview(reply.parse(IoctlResponse).output)
        answer = SrvCopychunkResponse.parse(output, 0)
    except WireError:
        raise StatusError(reply.status, Command.IOCTL.name) from None
    return Limits(answer.chunks_written, answer.chunk_bytes_written, answer.total_bytes_written)


def duplicate_extents(source_id: bytes, source: int, target: int, size: int) -> Step[Blob]:
    """Let two files share blocks, whole clusters that both files have ([MS-FSCC] 2.3.7)."""
    data = DuplicateExtentsData(
        source_file_id=source_id,
        source_file_offset=source,
        target_file_offset=target,
        byte_count=size,
    )
    return ioctl(Fsctl.DUPLICATE_EXTENTS_TO_FILE, bytes(data), 0, answers=FINAL_ONLY)


# Holes and room


def set_sparse() -> Step[Blob]:
    """Let the file have holes from now on ([MS-FSCC] 2.3.83)."""
    return ioctl(Fsctl.SET_SPARSE, bytes(FileSetSparseBuffer()), 0, answers=FINAL_ONLY)


def try_sparse() -> Step[bool]:
    """Let the file have holes if the server can; whether it did."""
    data = bytes(FileSetSparseBuffer())

    def ask(where: Where) -> Ask:
        body = IoctlRequest(
            ctl_code=Fsctl.SET_SPARSE, file_id=where.file_id, max_output_response=0, input=data
        )
        return Ask(body, answers=HARMLESS)

    return Step(ask, lambda reply, _: reply.status == Status.SUCCESS)


def set_zero_data(start: int, end: int) -> Step[Blob]:
    """Make zeros of a range, holes where the file may have such ([MS-FSCC] 2.3.85)."""
    data = bytes(FileZeroDataInformation(file_offset=start, beyond_final_zero=end))
    return ioctl(Fsctl.SET_ZERO_DATA, data, 0, answers=FINAL_ONLY)


def query_ranges(start: int, end: int, most: int = SMALL) -> Step[Ranges]:
    """Ask what of a range is no hole ([MS-FSCC] 2.3.55)."""
    data = bytes(FileAllocatedRangeBuffer(file_offset=start, length=end - start))
    step = ioctl(Fsctl.QUERY_ALLOCATED_RANGES, data, most, answers=QUERIED)

    def result(reply: Reply, where: Where) -> Ranges:
        told = _in_order(allocated_ranges(memoryview(step.result(reply, where))))
        # A server may tell whole clusters, which reach out of the range.
        within = [(max(low, start), min(high, end)) for low, high in told]
        spans = [(low, high) for low, high in within if low < high]
        reaches = told[-1][1] if told else 0
        has_more = reply.status == Status.BUFFER_OVERFLOW and reaches < end
        if has_more and not spans:
            raise WireError("there are more ranges, but none was told")  # asking on never ends
        return Ranges(spans, has_more)

    return Step(step.ask, result)


def _in_order(told: Sequence[tuple[int, int]]) -> list[Range]:
    """Make spans of offsets and lengths.  Raises WireError unless each is behind the one before.

    What lies between two of them is overwritten by `fallocate`, so a list in disorder, in which
    nothing certain lies between any two, is not one to be put right.
    """
    spans: list[Range] = []
    for offset, length in told:
        if spans and offset < spans[-1][1]:
            raise WireError("allocated ranges that overlap or are out of order")
        spans.append((offset, offset + length))
    return spans


def set_allocation(size: int) -> Step[None]:
    """Reserve room for so many bytes; below the file's size it cuts the file ([MS-FSCC] 2.4.4)."""
    data = bytes(FileAllocationInformation(allocation_size=size))

    def ask(where: Where) -> Ask:
        body = SetInfoRequest(
            info_type=InfoType.FILE,
            file_info_class=FileAllocationInformation.number,
            file_id=where.file_id,
            buffer=data,
        )
        return Ask(body)

    return Step(ask, lambda reply, _: None)


# Compression


def set_compression(is_on: bool) -> Step[Blob]:
    """Have the server keep the file compressed, or not ([MS-FSCC] 2.3.67)."""
    data = (COMPRESSION if is_on else 0).to_bytes(2, "little")
    return ioctl(Fsctl.SET_COMPRESSION, data, 0, answers=FINAL_ONLY)
