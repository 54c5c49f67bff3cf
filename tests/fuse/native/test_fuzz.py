"""Whatever the kernel's messages hold, each ends in one reply or a clean end, and nothing hangs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from smbfs.fuse.native.operations import OPERATIONS
from smbfs.fuse.native.questions import InHeader
from smbfs.fuse.native.uapi import IN_HEADER, Opcode
from smbfs.fuse.server import FileHandle, Opened, Space
from tests.fake.kernel import kernel_of
from tests.fuse.native.cases import CASES
from tests.fuse.native.file_cases import FILE_CASES
from tests.fuse.scripted import ENTRY, Fake, attributes

BODIES = [bytes(case.body) for case in CASES + FILE_CASES]
NO_REPLY = {Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY}
OPENED = Opened(FileHandle(9))
ANSWERS = {
    "lookup": ENTRY,
    "getattr": attributes(),
    "setattr": attributes(),
    "readlink": b"to",
    "mkdir": ENTRY,
    "mknod": ENTRY,
    "symlink": ENTRY,
    "link": ENTRY,
    "open": OPENED,
    "opendir": OPENED,
    "create": (OPENED, ENTRY),
    "tmpfile": (OPENED, ENTRY),
    "read": [memoryview(b"data")],
    "write": 4,
    "statfs": Space(4096, 4096, 1, 1, 1),
    "getxattr": b"value",
    "listxattr": [b"user.a"],
    "seek": 5,
    "copy_file_range": 5,
    "get_flags": 0,
    "readdir_now": [[]] * 1000,
    "readdir": [[]] * 1000,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nonsense is told in the log, thousands of times here."""
    logger = logging.getLogger("smbfs.fuse")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)


def mutated(body: bytes, at: int, value: int, cut: int) -> bytes:
    """A body with one byte changed, and maybe cut off."""
    changed = bytearray(body)
    if changed:
        changed[at % len(changed)] = value
    return bytes(changed[: cut if cut < len(changed) else None])


places = st.integers(0, 300)
bodies = st.one_of(
    st.binary(max_size=200),
    st.builds(
        mutated,
        st.sampled_from(BODIES),
        st.integers(0, 300),
        st.integers(0, 255),
        st.integers(0, 300),
    ),
)
opcodes = st.one_of(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 70))


@given(st.lists(st.tuples(opcodes, bodies), min_size=1, max_size=30))
def test_every_message_gets_one_answer(messages: list[tuple[int, bytes]]) -> None:
    trio.run(answered, [one for one in messages if one[0] != Opcode.INIT])


async def answered(messages: list[tuple[int, bytes]]) -> None:
    async with kernel_of(Fake(**ANSWERS)) as (kernel, _):
        asked = {kernel.ask(opcode, body): opcode for opcode, body in messages}
        with trio.fail_after(10):
            while missing(kernel.replies, asked):
                await trio.sleep(0.001)
                kernel.hear()


def missing(replies: Mapping[int, object], asked: Mapping[int, int]) -> set[int]:
    """The requests that are owed a reply and have none."""
    return {unique for unique, opcode in asked.items() if opcode not in NO_REPLY} - replies.keys()


@given(st.binary(max_size=IN_HEADER + 20))
def test_anything_at_all_ends_in_a_reply_or_the_end(message: bytes) -> None:
    trio.run(survived, message)


async def survived(message: bytes) -> None:
    async with kernel_of(Fake(**ANSWERS)) as (kernel, _):
        kernel.send_raw(message or b"\0")
        with trio.move_on_after(0.05):
            head = InHeader(len=0, opcode=Opcode.STATFS, unique=2, nodeid=1, uid=0, gid=0, pid=1)
            kernel.send_raw(bytes(head))
            while 2 not in kernel.replies:
                await trio.sleep(0.001)
                kernel.hear()
        kernel.twice.clear()  # the message may have had the same number
