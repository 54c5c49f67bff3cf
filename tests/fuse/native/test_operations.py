"""Every opcode: what the filesystem is asked, and what the kernel gets."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from smbfs.fuse.native import questions
from smbfs.fuse.native.files import KEPT_BYTES
from smbfs.fuse.native.operations import OPERATIONS
from smbfs.fuse.native.uapi import Opcode
from tests.fake.kernel import MAX_WRITE, Said, kernel_of
from tests.fuse.native.cases import CASES, NODE, Case
from tests.fuse.native.file_cases import FILE_CASES
from tests.fuse.scripted import Fake

TOLD_ELSEWHERE = {  # test_session.py and test_directories.py have them
    Opcode.FORGET,
    Opcode.BATCH_FORGET,
    Opcode.READDIR,
    Opcode.READDIRPLUS,
    Opcode.INIT,
    Opcode.INTERRUPT,
    Opcode.NOTIFY_REPLY,
}


ALL_CASES = CASES + FILE_CASES


@pytest.mark.parametrize("case", ALL_CASES, ids=[case.opcode.name for case in ALL_CASES])
async def test_every_operation(case: Case, expect_log: Callable[[str], None]) -> None:
    if case.is_nonsense:
        expect_log("makes no sense")
    fake = Fake(**case.answers)
    async with kernel_of(fake) as (kernel, _):
        said = await kernel.call(case.opcode, bytes(case.body), NODE)
    assert said == Said(-case.error, case.reply)
    assert fake.asked == case.asked


def test_no_opcode_is_forgotten() -> None:
    assert {case.opcode for case in ALL_CASES} | TOLD_ELSEWHERE == set(Opcode)


def test_what_ends_how() -> None:
    """What changes the server is carried to its end; only locks wait without one."""
    for opcode, operation in OPERATIONS.items():
        assert operation.now is not None or operation.wait is not None
        if operation.patience.value == float("inf"):
            assert opcode == Opcode.SETLKW
        if operation.wait is None:
            assert opcode in {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.DESTROY}


NEEDS_NO_BODY = {  # all that they need is in the header
    Opcode.READLINK,
    Opcode.STATFS,
    Opcode.DESTROY,
    Opcode.SYNCFS,
    Opcode.GETATTR,
    Opcode.STATX,
    Opcode.OPENDIR,
}


@pytest.mark.parametrize("opcode", sorted(OPERATIONS.keys() - NEEDS_NO_BODY))
async def test_a_body_that_is_cut_off_is_an_error(
    opcode: int, expect_log: Callable[[str], None]
) -> None:
    expect_log("makes no sense" if OPERATIONS[opcode].has_reply else "bug: opcode")
    fake = Fake()
    async with kernel_of(fake) as (kernel, _):
        if OPERATIONS[opcode].has_reply:
            assert (await kernel.call(opcode, b"", NODE)).error == -errno.EINVAL
        else:
            kernel.ask(opcode, b"", NODE)
            assert await kernel.settled() == {}
    assert fake.asked == []


@pytest.mark.parametrize(("size", "kind"), [(KEPT_BYTES, memoryview), (KEPT_BYTES - 1, bytes)])
async def test_a_large_write_is_not_copied(size: int, kind: type) -> None:
    assert size <= MAX_WRITE
    body = questions.WriteIn(fh=9, offset=0, size=size, data=bytes(size))
    fake = Fake(write=size)
    async with kernel_of(fake) as (kernel, _):
        await kernel.call(Opcode.WRITE, bytes(body), NODE)
    assert [call[0] for call in fake.asked] == ["write_now", "write"]
    assert all(isinstance(call[3], kind) for call in fake.asked)
