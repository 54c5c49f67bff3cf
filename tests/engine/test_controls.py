"""Each control: what it asks, how it reads the answer, and that it believes no length."""

from __future__ import annotations

from typing import Any

import pytest

from smbfs.engine import controls
from smbfs.engine.controls import Limits, Ranges
from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.steps import Listing, Step, Where
from smbfs.errors import StatusError
from smbfs.wire import file_messages as files
from smbfs.wire import fsctl
from smbfs.wire import query_messages as queries
from smbfs.wire.codec import WireError
from smbfs.wire.constants import Fsctl, InfoType
from smbfs.wire.directory import FileIdFullDirectoryInformation
from smbfs.wire.header import Command
from smbfs.wire.messages import ErrorResponse
from smbfs.wire.status import Status
from tests.engine.scripted import FILE_ID, reply_of

WHERE = Where(FILE_ID, "", Listing(FileIdFullDirectoryInformation, 65536), print)
KEY = bytes(range(24))


def asked(step: Step[Any]) -> Ask:
    ask = step.ask(WHERE)
    assert getattr(ask.body, "file_id") == FILE_ID  # noqa: B009  # bodies have no common type
    return ask


def control(step: Step[Any]) -> tuple[int, bytes, int]:
    body = asked(step).body
    assert isinstance(body, files.IoctlRequest)
    return body.ctl_code, bytes(body.input), body.max_output_response


def answered(output: bytes, status: Status = Status.SUCCESS) -> Reply:
    response = files.IoctlResponse(ctl_code=0, file_id=FILE_ID, output=output)
    return reply_of(Command.IOCTL, response, status)


def written(chunks: int, size: int, total: int) -> bytes:
    answer = fsctl.SrvCopychunkResponse(
        chunks_written=chunks, chunk_bytes_written=size, total_bytes_written=total
    )
    return bytes(answer)


def spans(*found: tuple[int, int]) -> bytes:
    return b"".join(
        bytes(fsctl.FileAllocatedRangeBuffer(file_offset=at, length=size)) for at, size in found
    )


# Copying


def test_a_resume_key() -> None:
    step = controls.resume_key()
    assert control(step) == (Fsctl.SRV_REQUEST_RESUME_KEY, b"", 32)
    for rest in (bytes(4), bytes(8)):
        assert step.result(answered(KEY + rest), WHERE) == KEY
    with pytest.raises(WireError):
        step.result(answered(KEY), WHERE)
    with pytest.raises(WireError):
        step.result(answered(KEY + bytes(12)), WHERE)


@pytest.mark.parametrize(
    ("reads_back", "code"), [(False, Fsctl.SRV_COPYCHUNK_WRITE), (True, Fsctl.SRV_COPYCHUNK)]
)
def test_a_copy_names_its_chunks(reads_back: bool, code: int) -> None:
    step = controls.copy_chunks(KEY, [(1, 2, 30), (4, 5, 60)], reads_back=reads_back)
    data = fsctl.SrvCopychunkCopy(
        source_key=KEY, chunks=fsctl.pack_chunks([(1, 2, 30), (4, 5, 60)])
    )
    assert control(step) == (code, bytes(data), 12)
    assert step.result(answered(written(2, 0, 90)), WHERE) == 90
    assert step.result(answered(written(1, 0, 30)), WHERE) == 30
    for lie in (written(2, 0, 91), b"short"):
        with pytest.raises(WireError):
            step.result(answered(lie), WHERE)


def test_the_limits_of_a_copy() -> None:
    step = controls.copy_chunks(KEY, [(0, 0, 30)])
    assert Status.INVALID_PARAMETER in asked(step).answers
    refusal = answered(written(16, 1 << 20, 1 << 24), Status.INVALID_PARAMETER)
    assert step.result(refusal, WHERE) == Limits(16, 1 << 20, 1 << 24)


def test_a_refusal_without_limits_is_an_error() -> None:
    step = controls.copy_chunks(KEY, [(0, 0, 30)])
    for refusal in (
        reply_of(Command.IOCTL, ErrorResponse(), Status.INVALID_PARAMETER),
        answered(b"", Status.INVALID_PARAMETER),
    ):
        with pytest.raises(StatusError, match="IOCTL: INVALID_PARAMETER"):
            step.result(refusal, WHERE)


def test_limits_that_anybody_may_have_sent_are_an_error() -> None:
    step = controls.copy_chunks(KEY, [(0, 0, 30)])
    refusal = answered(written(16, 1 << 20, 1 << 24), Status.INVALID_PARAMETER)
    refusal.is_hint = True
    with pytest.raises(StatusError, match="IOCTL: INVALID_PARAMETER"):
        step.result(refusal, WHERE)


def test_shared_blocks() -> None:
    code, data, most = control(controls.duplicate_extents(bytes(16), 4096, 8192, 12288))
    body = fsctl.DuplicateExtentsData(
        source_file_id=bytes(16),
        source_file_offset=4096,
        target_file_offset=8192,
        byte_count=12288,
    )
    assert (code, data, most) == (Fsctl.DUPLICATE_EXTENTS_TO_FILE, bytes(body), 0)


# Holes and room


def test_what_is_sparse() -> None:
    assert control(controls.set_sparse()) == (Fsctl.SET_SPARSE, b"\1", 0)
    assert asked(controls.set_sparse()).answers == {Status.SUCCESS}


def test_a_wish_that_is_refused_is_no_error() -> None:
    step = controls.try_sparse()
    assert control(step) == (Fsctl.SET_SPARSE, b"\1", 0)
    assert step.result(answered(b""), WHERE) is True
    for status in (Status.ACCESS_DENIED, Status.NOT_SUPPORTED, Status.INVALID_DEVICE_REQUEST):
        assert status in asked(step).answers
        assert step.result(reply_of(Command.IOCTL, ErrorResponse(), status), WHERE) is False
    assert Status.FILE_CLOSED not in asked(step).answers


def test_zeros() -> None:
    body = fsctl.FileZeroDataInformation(file_offset=5, beyond_final_zero=9)
    assert control(controls.set_zero_data(5, 9)) == (Fsctl.SET_ZERO_DATA, bytes(body), 0)


def test_ranges() -> None:
    step = controls.query_ranges(10, 100)
    assert control(step) == (Fsctl.QUERY_ALLOCATED_RANGES, spans((10, 90)), 65536)
    found = step.result(answered(spans((10, 5), (20, 5))), WHERE)
    assert found == Ranges([(10, 15), (20, 25)], has_more=False)
    some = answered(spans((10, 5)), Status.BUFFER_OVERFLOW)
    assert step.result(some, WHERE) == Ranges([(10, 15)], has_more=True)
    assert step.result(answered(b""), WHERE) == Ranges([], has_more=False)


def test_ranges_that_reach_out_of_what_was_asked() -> None:
    step = controls.query_ranges(10, 100)
    told = spans((0, 5), (5, 15), (20, 5), (30, 0), (90, 4096), (5000, 7))
    for status in (Status.SUCCESS, Status.BUFFER_OVERFLOW):
        found = step.result(answered(told, status), WHERE)
        assert found == Ranges([(10, 20), (20, 25), (90, 100)], has_more=False)
    some = answered(spans((0, 5), (5, 15)), Status.BUFFER_OVERFLOW)
    assert step.result(some, WHERE) == Ranges([(10, 20)], has_more=True)


@pytest.mark.parametrize(
    "lie",
    [
        answered(b"", Status.BUFFER_OVERFLOW),
        answered(spans((0, 10)), Status.BUFFER_OVERFLOW),
        answered(spans((10, 0)), Status.BUFFER_OVERFLOW),
        answered(spans((10, 5))[:-1]),
        answered(spans((10, 20), (29, 5))),
        answered(spans((50, 5), (20, 5))),
        answered(spans((10, 5), (10, 5))),
        answered(spans((0, 2**64 - 1), (50, 5))),
        answered(spans((200, 5), (20, 5))),
    ],
)
def test_ranges_that_lie(lie: Reply) -> None:
    with pytest.raises(WireError):
        controls.query_ranges(10, 100).result(lie, WHERE)


def test_room() -> None:
    body = asked(controls.set_allocation(8192)).body
    assert isinstance(body, queries.SetInfoRequest)
    assert (body.info_type, body.file_info_class) == (InfoType.FILE, 19)
    assert bytes(body.buffer) == (8192).to_bytes(8, "little")
    step = controls.set_allocation(1)
    assert step.result(reply_of(Command.SET_INFO, ErrorResponse()), WHERE) is None


@pytest.mark.parametrize(("is_on", "data"), [(True, b"\2\0"), (False, b"\0\0")])
def test_compression(is_on: bool, data: bytes) -> None:
    assert control(controls.set_compression(is_on)) == (Fsctl.SET_COMPRESSION, data, 0)
